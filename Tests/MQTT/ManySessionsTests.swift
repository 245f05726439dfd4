import Foundation
import MQTT
import Observability
import Synchronization
import TestSupport
import Testing
import Threads

/// Devices that answer each command twice, all on one loop: what the simulator does.
final class Fleet: Sendable {
  let sessions: [MQTTSession]
  let answers = Atomic(0)

  init(count: Int, prefix: String, bench: Bench) {
    let references = Locked<[Reference]>([])
    sessions = (0..<count).map { number in
      let reference = Reference()
      references.withLock { $0.append(reference) }
      var configuration = bench.configuration("device")
      configuration.clientId = "\(prefix)-\(number)"
      let session = MQTTSession(
        configuration: configuration, loop: bench.loop,
        subscriptions: [MQTTSubscription("\(prefix)/\(number)/command")], logger: bench.logger,
        onMessage: { message in
          for status in ["ACKNOWLEDGED", "SUCCESS"] {
            reference.session?.publishDetached(
              MQTTMessage(topic: "\(prefix)/\(number)/status", payload: message.payload + Array(status.utf8)))
          }
        })
      reference.hold(session)
      return session
    }
    for session in sessions { session.start() }
  }

  /// What the message closure knows of its own session, without keeping it alive.
  private final class Reference: Sendable {
    private struct Weak: Sendable { weak var session: MQTTSession? }
    private let value = Locked(Weak())
    var session: MQTTSession? { value.withLock { $0.session } }
    func hold(_ session: MQTTSession) { value.withLock { $0.session = session } }
  }

  var connected: Int { sessions.count { $0.isConnected } }
}

/// CPU seconds of this process and of another.
struct CPUTime {
  static func own() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
  }

  static func of(_ pid: pid_t) -> Double {
    let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12 else { return 0 }
    return ((Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0)) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}

/// Resident memory of this process in kB.
func residentKilobytes() -> Int {
  let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
  return (Int(statm.split(separator: " ").dropFirst().first ?? "0") ?? 0) * 4
}

/// Lets this process have that many descriptors, if the system does.
func allowDescriptors(_ count: UInt64) -> Bool {
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  if limit.rlim_cur >= count { return true }
  limit.rlim_cur = min(rlim_t(count), limit.rlim_max)
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  return limit.rlim_cur >= count
}

@Suite(.serialized) struct ManySessionsTests {
  @Test func aThousandSessionsOnOneLoopAnswerTwice() async throws {
    try #require(allowDescriptors(4_500))
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let prefix = "fleet"
    let answers = Atomic(0)
    let watcher = MQTTSession(
      configuration: bench.configuration("watcher"), loop: bench.loop,
      subscriptions: [MQTTSubscription("\(prefix)/+/status")], logger: bench.logger,
      onMessage: { _ in answers.add(1, ordering: .relaxed) })
    watcher.start()
    let fleet = Fleet(count: 1_000, prefix: prefix, bench: bench)
    try await eventually("all connect", within: 60) { fleet.connected == 1_000 && watcher.isConnected }
    let sender = try await bench.connected("sender")
    for round in 1...5 {
      let commands = (0..<1_000).map { MQTTMessage("\(prefix)/\($0)/command", "round \(round)") }
      let outcomes = await sender.session.publish(commands)
      #expect(outcomes.allSatisfy { $0 == .success(.accepted) })
      try await eventually("round \(round) is answered") { answers.load(ordering: .relaxed) == round * 2_000 }
    }
    server.kill()
    try await eventually("all notice") { fleet.connected == 0 }
    try await server.restart()
    try await eventually("all come back", within: 60) { fleet.connected == 1_000 }
    server.kill()
  }

  @Test func descriptorsAbove1023Work() async throws {
    try #require(allowDescriptors(4_500))
    let bench = Bench(try await .shared())
    let filler = (0..<1_100).map { _ in open("/dev/null", O_RDONLY) }
    defer { for descriptor in filler { close(descriptor) } }
    #expect(filler.max() ?? 0 > 1_023)
    let topic = "high/\(Bench.unique())"
    let inbox = Inbox()
    let uplink = bench.uplink(topic, ["\(topic)/up"]) { try inbox.take($0) }
    let probe = try await bench.connected("high", subscriptions: [MQTTSubscription(topic)])
    try await eventually("up") { uplink.isConnected }
    #expect(try await probe.session.publish(MQTTMessage(topic, "x")) == .accepted)
    #expect(try await probe.session.publish(MQTTMessage("\(topic)/up", "y")) == .accepted)
    try await eventually("both arrive") { probe.texts == ["x"] && inbox.texts == ["y"] }
    #expect(await uplink.leave())
  }

  @Test func sessionsAndMessagesLeaveNoMemoryBehind() async throws {
    let bench = Bench(try await .shared())
    let topic = "memory/\(Bench.unique())"
    let properties = MQTTProperties(
      correlationData: Array(repeating: 1, count: 36), responseTopic: "a/b", messageExpiry: 60,
      contentType: "application/json",
      userProperties: [("traceparent", "00-0af7651916cd43dd8448eb211c80319c")])
    func round() async throws {
      for _ in 0..<40 {
        let session = MQTTSession(
          configuration: bench.configuration("leak"), loop: bench.loop,
          subscriptions: [MQTTSubscription(topic)],
          logger: bench.logger)
        session.start()
        try await eventually("connects") { session.isConnected }
        let messages = (0..<250).map {
          MQTTMessage(topic: topic, payload: Array("\($0)".utf8), properties: properties)
        }
        _ = await session.publish(messages)
        session.publishDetached(messages[0])
      }
    }
    try await round()
    try await round()
    let before = residentKilobytes()
    for _ in 0..<4 { try await round() }
    let growth = residentKilobytes() - before
    // 40,000 messages with properties and 160 sessions: a kilobyte lost for each message would be 40 MB.
    #expect(growth < 12_000, "grew by \(growth) kB")
  }
}

import CommandsDomain
import FoundationEssentials
import HTTP
import Kafka
import Loop
import Runtime
import TestSupport
import Testing
import Threads
import Wire

@testable import CommandsService

/// Live events on a real Kafka, by two replicas of the service.
///
/// One test at a time: `slow` publishes thousands of records on the same topics, and repeats are known of the last hundred of
/// a partition only.
@Suite("Live events: two replicas on Kafka", .serialized, .timeLimit(.minutes(2)))
struct LiveStreamTests {
  /// A reader of the test: what it was told by now.
  final class Client: Sendable {
    let events: LiveEvents
    let stream: LiveStream
    private let told: Locked<Told>

    init(_ fixture: Fixture, _ organisation: UUID, after id: String? = nil, key: UUID? = nil) async throws {
      events = fixture.service.live
      stream = try await events.open(LiveFilter(), of: organisation, key: key, after: id)
      var first = Told()
      first.cluster = try #require(await events.cluster)
      first.topics = LiveEvents.topics.count
      told = Locked(first)
    }

    var now: Told { told.withLock { $0 } }
    var lastId: String? { now.ids.last?.text(cluster: now.cluster) }

    func id(_ index: Int) -> String { now.ids[index].text(cluster: now.cluster) }

    /// Listens until that holds.
    func listen(beats: Bool = false, until isEnough: (Told) -> Bool) async throws {
      var beats = beats
      let end = ContinuousClock.now + .seconds(20)
      while !isEnough(now) {
        guard .now < end else { throw TestSupportError("heard only \(now.events)") }
        let lines = try await events.next(stream.id, beats: beats)
        beats = false
        try told.withLock { try $0.hear(lines) }
        if lines.isEmpty { await stream.alarm.wait(atMost: .seconds(1)) }
      }
    }
  }

  let organisation = UUID.v7()

  private func fixtures(_ limits: LiveEvents.Limits = .init()) async throws -> (Fixture, Fixture) {
    let url = try await PostgresServer.shared().createDatabase("live")
    return (try await Fixture(url: url, live: limits), try await Fixture(url: url, live: limits))
  }

  /// Publishes events, as the relay does.
  private func publish(
    _ ids: [String], by fixture: Fixture, of owner: UUID? = nil, type: String = "martlet.command.sent",
    _ topic: KafkaTopic = .commandsEvents, key: String? = nil, more: JSONObject = [:]
  ) async throws {
    let encoder = EventEncoder(service: "commands")
    var body = more
    body["organisationId"] = .string((owner ?? organisation).text)
    let messages = ids.map { id in
      encoder.message(
        Event(
          topic: topic, key: key ?? "\(id.hashValue % 50)", type: type, json: .object(body), traceparent: nil),
        id: id,
        time: .now)
    }
    let deliveries = try await fixture.runtime.producer.send(messages)
    #expect(deliveries.allSatisfy { $0.error == nil })
  }

  @Test("who resumes at any event on the other replica gets the rest, once, and nobody else's")
  func resume() async throws {
    let (a, b) = try await fixtures()
    let one = try await Client(a, organisation)
    let ids = (0..<60).map { "e\($0)" }
    for part in 0..<6 {
      try await publish(Array(ids[part * 10..<part * 10 + 10]), by: a)
      try await publish(["foreign\(part)"], by: a, of: .v7())
    }
    try await one.listen { $0.events.count == 60 }
    let all = one.now.events
    #expect(Set(all) == Set(ids))
    for index in [0, 1, 29, 58, 59] {
      for replica in [b, a] {
        let again = try await Client(replica, organisation, after: one.id(index))
        let last = "last-\(index)-\(replica === a)"
        try await publish([last], by: a)
        // Of several devices, between which nothing is in order.
        try await again.listen { now in
          now.events.contains(last) && now.events.count { !$0.hasPrefix("last") } >= 59 - index
        }
        let heard = again.now.events.filter { !$0.hasPrefix("last") }
        #expect(Set(heard) == Set(all[(index + 1)...]) && heard.count == 59 - index)
        #expect(again.now.resets == 0)
      }
    }
  }

  @Test("what is published twice is told once, also to who resumes between the two on the other replica")
  func twice() async throws {
    let (a, b) = try await fixtures()
    let one = try await Client(a, organisation)
    // Of one device: between devices nothing is in order.
    try await publish(["x", "y"], by: a, key: "device")
    try await one.listen { $0.events.count == 2 }
    let again = try await Client(b, organisation, after: one.lastId)
    try await publish(["x", "y", "z"], by: a, key: "device")
    for client in [one, again] { try await client.listen { $0.events.last == "z" } }
    #expect(one.now.events == ["x", "y", "z"] && again.now.events == ["z"])
  }

  @Test(
    "ids that are unknown, from the future, of another cluster, or too old are answered with reset; it goes on"
  )
  func reset() async throws {
    let (a, _) = try await fixtures(.init(records: 20))
    let one = try await Client(a, organisation)
    try await one.listen(beats: true) { !$0.ids.isEmpty }
    let (start, old) = (try #require(one.now.ids.last), try #require(one.lastId))
    try await publish((0..<30).map { "e\($0)" }, by: a)
    try await one.listen { $0.events.count == 30 }
    let future = EventPosition(start.offsets.map { $0.map { $0 + 1000 } })
    let more = EventPosition(start.offsets.map { $0 + [0] })
    for bad in [
      "x", old, future.text(cluster: one.now.cluster), more.text(cluster: one.now.cluster),
      start.text(cluster: one.now.cluster &+ 1),
    ] {
      let again = try await Client(a, organisation, after: bad)
      let last = "last-\(UUID().text)"
      try await publish([last], by: a)
      try await again.listen { $0.events.last == last }
      #expect(again.now.resets == 1 && again.now.events == [last])
    }
  }

  @Test("presence alone comes of the registry's events; a revoked key ends its streams at once, no other's")
  func registry() async throws {
    let (a, _) = try await fixtures()
    let key = UUID.v7()
    let ends = try await Client(a, organisation, key: key)
    let stays = try await Client(a, organisation, key: .v7())
    let foreign = try await Client(a, .v7(), key: key)
    try await publish(["no"], by: a, type: "martlet.registry.device.created", .registryEvents)
    try await publish(["yes"], by: a, type: LiveFilter.presence, .registryEvents)
    for client in [ends, stays] {
      try await client.listen { !$0.events.isEmpty }
      #expect(client.now.events == ["yes"])
    }
    try await publish(
      ["gone"], by: a, type: "martlet.registry.apiKey.deleted", .registryEvents,
      more: ["id": .string(key.text)])
    await #expect(throws: LiveEvents.End.revoked) { try await ends.listen { _ in false } }
    try await publish(["on"], by: a)
    try await stays.listen { $0.events.last == "on" }
    try await foreign.listen(beats: true) { !$0.ids.isEmpty }
  }

  @Test("an organisation has so many streams, and all together so many; who leaves makes room")
  func limits() async throws {
    let (a, _) = try await fixtures(.init(readers: 3, readersOfOrganisation: 2))
    var clients = [try await Client(a, organisation), try await Client(a, organisation)]
    func status(_ organisation: UUID) async -> Int? {
      do { _ = try await a.service.live.open(LiveFilter(), of: organisation, key: nil, after: nil) } catch {
        return (error as? Problem)?.status
      }
      return nil
    }
    #expect(await status(organisation) == 429)
    let other = try await Client(a, .v7())
    #expect(await status(.v7()) == 503)
    clients.removeLast()
    #expect(await status(organisation) == nil)
    withExtendedLifetime((clients, other)) {}
  }

  @Test("who does not read is cut off, and the others go on")
  func slow() async throws {
    let (a, _) = try await fixtures()
    let slow = try await Client(a, organisation)
    let quick = try await Client(a, organisation)
    let isCut = Locked(false)
    await a.service.live.attach(slow.stream.id) { isCut.withLock { $0 = true } }
    for round in 0..<5 {
      try await publish((0..<1000).map { "\(round)-\($0)" }, by: a)
      try await quick.listen { $0.events.count == (round + 1) * 1000 }
    }
    #expect(isCut.withLock { $0 })
    await #expect(throws: LiveEvents.End.behind) { try await slow.listen { _ in false } }
  }
}

import Foundation
import Loop
import MQTT
import Synchronization
import TestSupport
import Testing

/// Not tests but measurements, printed: `MARTLET_MEASURE=1 swift test -c release --filter MQTTTests.Measure`.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["MARTLET_MEASURE"] != nil))
struct Measure {
  private func report(
    _ what: String, _ count: Int, _ server: MosquittoServer, _ body: () async throws -> Void
  )
    async throws
  {
    let pid = try #require(server.pid)
    let (own, broker, start) = (CPUTime.own(), CPUTime.of(pid), ContinuousClock.now)
    try await body()
    let seconds =
      Double((ContinuousClock.now - start).components.attoseconds) / 1e18
      + Double((ContinuousClock.now - start).components.seconds)
    let each = { (cpu: Double) in Int(cpu / Double(count) * 1e6) }
    print(
      "MEASURED \(what): \(Int(Double(count) / seconds))/s, client \(each(CPUTime.own() - own)) µs CPU each,"
        + " broker \(each(CPUTime.of(pid) - broker)) µs each")
  }

  @Test func publishing() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let sender = try await bench.connected("sender")
    try await report("one by one, 2,000", 2_000, server) {
      for number in 0..<2_000 { _ = try await sender.session.publish(MQTTMessage("t", "\(number)")) }
    }
    try await report("2,000/s in batches of 20", 10_000, server) {
      for _ in 0..<500 {
        async let pause: Void = Task.sleep(for: .milliseconds(10))
        _ = await sender.session.publish((0..<20).map { MQTTMessage("t", "\($0)") })
        try await pause
      }
    }
    try await report("flat out in batches of 500", 100_000, server) {
      for _ in 0..<200 { _ = await sender.session.publish((0..<500).map { MQTTMessage("t", "\($0)") }) }
    }
    server.kill()
  }

  @Test(arguments: [1_000, 100]) func lifecycles(devices: Int) async throws {
    _ = allowDescriptors(4_500)
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let handled = Atomic(0)
    let uplink = bench.uplink("uplink", ["$share/g/fleet/+/status"]) {
      handled.add($0.count, ordering: .relaxed)
    }
    let fleet = Fleet(count: devices, prefix: "fleet", bench: bench)
    try await eventually("all connect", within: 60) { fleet.connected == devices && uplink.isConnected }
    let downlink = EventLoop.start("downlink")
    let sender = Probe(
      bench.configuration("downlink"), loop: downlink, subscriptions: [], logger: bench.logger)
    try await eventually("up") { sender.session.isConnected }
    func round(_ commands: [MQTTMessage], _ goal: Int) async throws {
      _ = await sender.session.publish(commands)
      while handled.load(ordering: .relaxed) < goal { try await Task.sleep(for: .microseconds(200)) }
    }
    let commands = (0..<1_000).map { number in
      MQTTMessage(
        topic: "fleet/\(number % devices)/command", payload: Array(repeating: 65, count: 120),
        properties: MQTTProperties(
          correlationData: Array(repeating: 66, count: 36), responseTopic: "a/b/status", messageExpiry: 60,
          userProperties: [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]))
    }
    var goal = 0
    for batch in [1_000, 50, 1] {
      let count = batch == 1 ? 2_000 : 20_000
      try await report("lifecycles, \(devices) devices, batches of \(batch)", count, server) {
        for turn in 0..<(count / batch) {
          goal += 2 * batch
          let first = turn * batch % 1_000
          try await round(Array(commands[first..<(first + batch)]), goal)
        }
      }
    }
    print("MEASURED batches of the uplink: \(uplink.counters)")
    await uplink.stop()
    server.kill()
  }
}

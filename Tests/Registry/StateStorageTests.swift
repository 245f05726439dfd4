import Foundation
import Kafka
import Postgres
import Testing
import Wire

@testable import RegistryDomain
@testable import RegistryService

@Suite("States in the database")
struct StateStorageTests {
  /// After every record that the tests make.
  private static let start = Date(timeIntervalSince1970: (Date.now.timeIntervalSince1970 + 3600).rounded())
  static func time(_ seconds: Double) -> Date { start.addingTimeInterval(seconds) }

  /// A record of the uplink topic.
  static func record(_ deviceId: String, _ uplink: Uplink, at seconds: Double) -> KafkaMessage {
    record(deviceId, type: uplink.kind.rawValue, uplink.json.bytes, at: seconds)
  }

  static func record(_ deviceId: String, type: String, _ value: [UInt8], at seconds: Double) -> KafkaMessage {
    KafkaMessage(
      topic: KafkaTopic.deviceUplink.rawValue, partition: 0, offset: 0, key: Array(deviceId.utf8),
      value: value,
      headers: [KafkaHeader(EventHeader.type, type), KafkaHeader(EventHeader.time, time(seconds).rfc3339)])
  }

  /// A new device's `deviceId`.
  static func device(_ world: World) async throws -> String {
    let body: JSON = ["boardId": "{board}", "mcuId": .string(UUID.v7().text)]
    return try #require(await world.send("POST", "device", body: body).json["deviceId"]?.string)
  }

  /// Applies records as one batch.
  /// - Returns: why some were set aside.
  @discardableResult
  static func apply(_ world: World, _ records: [KafkaMessage]) async throws -> [String] {
    let inbox = UplinkInbox(registry: world.registry)
    return try await world.database.withTransaction {
      try await inbox.apply(records, $0).rejected.map(\.reason)
    }
  }

  static func state(_ world: World, _ deviceId: String) async -> JSON {
    await world.send("GET", "device/deviceId/\(deviceId)/state").json
  }

  @Test("a late message does not overwrite a newer one, in another batch too")
  func late() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    try await Self.apply(
      world, [Self.record(id, .state(.init(attributes: ["battery": 3, "mode": "a"])), at: 10)])
    try await Self.apply(
      world,
      [
        Self.record(id, .state(.init(attributes: ["battery": 4, "rssi": -70])), at: 5),
        Self.record(id, .state(.init(attributes: ["mode": "b"], at: Self.time(9))), at: 11),
      ])
    let state = await Self.state(world, id)
    #expect(state["attributes"]?["battery"] == ["value": 3, "at": .string(Self.time(10).rfc3339)])
    #expect(state["attributes"]?["mode"]?["value"] == "a")
    #expect(state["attributes"]?["rssi"]?["at"]?.string == Self.time(5).rfc3339)
    #expect(state["lastSeenAt"]?.string == Self.time(11).rfc3339)
  }

  @Test("numbers come back digit for digit, also those that the database would write out or cannot keep")
  func digits() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    let text = #"[1e5,-0,1E+300,1.50,0.0000001,8944500102030405067,1e400,1e-99999,{"a":1e-7}]"#
    let record = Self.record(id, type: "martlet.uplink.state", Array(#"{"n":\#(text),"m":1.0}"#.utf8), at: 1)
    #expect(try await Self.apply(world, [record]) == [])
    let state = await Self.state(world, id)
    #expect(state["attributes"]?["n"]?["value"]?.text == text)
    #expect(state["attributes"]?["n"]?.object?.members.map(\.name).sorted() == ["at", "value"])
    #expect(state["attributes"]?["m"]?["value"]?.text == "1.0")
    try await Self.apply(
      world, [Self.record(id, type: "martlet.uplink.state", Array(#"{"p":1e2}"#.utf8), at: 2)])
    let found = await world.send("GET", "device?filter=attributes.p==100;deviceId==\(id)")
    #expect(found.json.array?.compactMap { $0["deviceId"]?.string } == [id])
    let route = #"{"interface":"udp","interfaceData":{"n":[1e5,1e400,1e200000,-0]}}"#
    let routed = Array(#"{"q":1,"route":\#(route)}"#.utf8)
    #expect(try await Self.apply(world, [Self.record(id, type: "martlet.uplink.state", routed, at: 3)]) == [])
    #expect(await Self.state(world, id)["lastRoute"]?.text == route)
    // What no exponent can be.
    let least = Array(#"{"e":[1e-9223372036854775808,0e9223372036854775807]}"#.utf8)
    #expect(try await Self.apply(world, [Self.record(id, type: "martlet.uplink.state", least, at: 4)]) == [])
  }

  @Test(
    "whatever a device's clock says, a value is never frozen, and never lost to a clock that cannot be right")
  func clocks() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    func say(_ text: String, at seconds: Double) async throws -> (JSON?, String?) {
      let record = Self.record(id, type: "martlet.uplink.state", Array(text.utf8), at: seconds)
      #expect(try await Self.apply(world, [record]) == [])
      let state = await Self.state(world, id)
      return (state["attributes"]?["battery"]?["value"], state["lastSeenAt"]?.string)
    }
    let (now, before) = (Self.time(1000).rfc3339, Self.time(1000 - 3600).rfc3339)
    let messages: [(String, Int)] = [
      (#"{"battery":80,"at":"\#(now)"}"#, 80), (#"{"battery":70,"at":"\#(before)"}"#, 80),
      (#"{"battery":60,"at":"1970-01-01T00:00:03Z"}"#, 60),
      (#"{"battery":50,"at":"2106-02-07T06:28:15Z"}"#, 50),
      (#"{"battery":40,"at":"\#(Self.time(1004).rfc3339)"}"#, 40), (#"{"battery":30}"#, 30),
      (#"{"battery":31,"at":1764950400}"#, 31), (#"{"battery":32,"at":"2025-02-30T00:00:00Z"}"#, 32),
      (#"{"battery":33,"at":"2025-12-01T10:00:00"}"#, 33), (#"{"battery":34,"at":null}"#, 34),
      (#"{"battery":1,"at":"\#(Self.time(1010).rfc3339)"}"#, 1),
      (#"{"battery":2,"at":"\#(Self.time(1010).rfc3339)"}"#, 2),
    ]
    for (index, (text, battery)) in messages.enumerated() {
      let arrival = 1000 + Double(index)
      let (value, seen) = try await say(text, at: arrival)
      #expect(value == .int(Int64(battery)), "\(text)")
      #expect(seen == Self.time(arrival).rfc3339, "lastSeenAt is our clock")
    }
  }

  @Test("the last route is that of the last packet")
  func routes() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    #expect(await world.send("GET", "device/deviceId/\(id)/lastRoute").status == 404)
    let udp: JSON = [
      "interface": "udp", "udp": ["address": "10.0.0.1:7", "time": .string(Self.time(1).rfc3339)],
    ]
    try await Self.apply(world, [Self.record(id, .state(.init(attributes: [:], route: udp)), at: 2)])
    #expect(await Self.state(world, id)["lastRouteUdpAddress"] == "10.0.0.1:7")
    try await Self.apply(world, [Self.record(id, .reported([:]), at: 1)])
    #expect(await Self.state(world, id)["lastRouteInterface"] == "udp")
    try await Self.apply(world, [Self.record(id, .reported([:]), at: 3)])
    let route = await world.send("GET", "device/deviceId/\(id)/lastRoute")
    #expect(route.json["mqtt"] == ["broker": "mosquitto", "time": .string(Self.time(3).rfc3339)])
    let kept = Uplink.state(.init(attributes: [:], route: udp, at: Self.time(2.5)))
    try await Self.apply(world, [Self.record(id, kept, at: 5)])
    #expect(await Self.state(world, id)["lastSeenAt"] == .string(Self.time(5).rfc3339))
    #expect(await Self.state(world, id)["lastRouteInterface"] == "mqtt", "it was sent before the other")
    let newer = Uplink.state(.init(attributes: [:], route: udp, at: Self.time(3.5)))
    try await Self.apply(world, [Self.record(id, newer, at: 4)])
    #expect(
      await Self.state(world, id)["lastRouteInterface"] == "udp", "sent after it, although it came before")
    try await Self.apply(world, [Self.record(id, .reported([:]), at: 5)])
    let silent = try await Self.device(world)
    let many = await world.send(
      "POST", "device/lastRoute", body: ["deviceIds": [.string(id), .string(silent), "unknown"]])
    let last = await world.send("GET", "device/deviceId/\(id)/lastRoute")
    #expect(last.json["mqtt"] == ["broker": "mosquitto", "time": .string(Self.time(5).rfc3339)])
    #expect(many.json == [["deviceId": .string(id), "lastRoute": last.json]])
    let foreign = await world.send(
      "POST", "device/lastRoute", body: ["deviceIds": [.string(id)]], as: "stranger")
    #expect(foreign.json == [])
  }

  @Test("presence: events on changes only, connections counted, a packet corrects a word that came late")
  func presence() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    func online() async -> [JSON?] {
      let state = await Self.state(world, id)
      return [state["online"], state["onlineEvidence"]?["source"], state["connectionEpoch"]]
    }
    try await Self.apply(world, [Self.record(id, .presence(online: true), at: 1)])
    #expect(await online() == [true, "presence", 1])
    // The takeover of a session: its will and the new word in one batch, then the word again.
    try await Self.apply(
      world,
      [Self.record(id, .presence(online: false), at: 2), Self.record(id, .presence(online: true), at: 2.1)])
    try await Self.apply(world, [Self.record(id, .presence(online: true), at: 3)])
    #expect(await online() == [true, "presence", 3])
    // A will that comes after its time changes nothing.
    try await Self.apply(world, [Self.record(id, .presence(online: false), at: 2.5)])
    #expect(await online() == [true, "presence", 3])
    try await Self.apply(world, [Self.record(id, .presence(online: false), at: 4)])
    #expect(await online() == [false, "presence", 3])
    // What it had sent before, by another session, may be read just after; what comes later says that it is back.
    try await Self.apply(world, [Self.record(id, .reported([:]), at: 4.1)])
    #expect(await online() == [false, "presence", 3])
    try await Self.apply(world, [Self.record(id, .reported([:]), at: 4.5)])
    #expect(await online() == [true, "uplink", 3])
    let revisions = try await world.database.query(
      "SELECT presence_rev FROM device_state WHERE device_id = \(id)")
    #expect(try revisions.decode(Int64.self) == [3], "on, off, on")
  }

  @Test("any packet proves a device online: without any word, and after a will that came late, however close")
  func proven() async throws {
    let world = try await World.shared()
    let state = Uplink.state(.init(attributes: ["a": 1]))
    for packet in [state, .reported([:])] {
      let id = try await Self.device(world)
      try await Self.apply(world, [Self.record(id, packet, at: 1)])
      let evidence = await Self.state(world, id)
      #expect(evidence["online"] == true && evidence["onlineEvidence"]?["source"] == "uplink")
      #expect(evidence["connectionEpoch"] == nil)
    }
    let orders: [([(Uplink, Double)], Bool)] = [
      ([(.presence(online: false), 3), (state, 3)], true),
      ([(.presence(online: false), 3), (state, 3.01)], true),
      ([(state, 3), (.presence(online: false), 3)], false),
      ([(state, 3), (.presence(online: false), 3.01)], false),
      // A last answer, read from another session after the word that the device leaves.
      ([(.presence(online: false), 3), (.reported([:]), 3.01)], false),
      ([(.presence(online: false), 3), (.reported([:]), 3.3)], true),
    ]
    for (order, online) in orders {
      for isOneBatch in [true, false] {
        let id = try await Self.device(world)
        let records =
          [Self.record(id, .presence(online: true), at: 2)] + order.map { Self.record(id, $0.0, at: $0.1) }
        for batch in isOneBatch ? [records] : records.map({ [$0] }) { try await Self.apply(world, batch) }
        #expect(await Self.state(world, id)["online"] == .bool(online), "\(order), one batch: \(isOneBatch)")
      }
    }
  }

  @Test("what the broker has kept of presence fills in for what is unknown, and else changes nothing")
  func retained() async throws {
    let world = try await World.shared()
    for online in [true, false] {
      let id = try await Self.device(world)
      try await Self.apply(world, [Self.record(id, .retainedPresence(online: online), at: 1)])
      var state = await Self.state(world, id)
      #expect(
        state["online"] == .bool(online) && state["lastSeenAt"] == nil && state["connectionEpoch"] == nil)
      try await Self.apply(world, [Self.record(id, .state(.init(attributes: [:])), at: 2)])
      try await Self.apply(world, [Self.record(id, .retainedPresence(online: false), at: 3)])
      state = await Self.state(world, id)
      #expect(state["online"] == true && state["lastSeenAt"]?.string == Self.time(2).rfc3339)
      try await Self.apply(world, [Self.record(id, .presence(online: false), at: 4)])
      try await Self.apply(world, [Self.record(id, .retainedPresence(online: true), at: 5)])
      state = await Self.state(world, id)
      #expect(state["online"] == false && state["onlineEvidence"]?["at"]?.string == Self.time(4).rfc3339)
      #expect(state["connectionEpoch"] == nil)
    }
    let both = try await Self.device(world)
    try await Self.apply(
      world,
      [
        Self.record(both, .retainedPresence(online: false), at: 2),
        Self.record(both, .state(.init(attributes: [:])), at: 1),
      ])
    #expect(await Self.state(world, both)["online"] == true, "a packet is worth more")
  }

  @Test("what arrived before a record was made changes nothing, also in a batch with what came after")
  func before() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    let past = Date.now.addingTimeInterval(-60).timeIntervalSince(Self.time(0))
    let old: [Uplink] = [
      .state(.init(attributes: ["secret": 1], at: Date.now.addingTimeInterval(60))), .presence(online: true),
      .reported([:]), .retainedPresence(online: false),
    ]
    let fresh = await Self.state(world, id)
    for uplink in old { try await Self.apply(world, [Self.record(id, uplink, at: past)]) }
    #expect(await Self.state(world, id) == fresh)
    let new = [Self.record(id, .state(.init(attributes: ["mine": 2])), at: 1)]
    try await Self.apply(world, old.map { Self.record(id, $0, at: past) } + new)
    let state = await Self.state(world, id)
    #expect(state["attributes"]?.object?.members.map(\.name) == ["mine"])
    #expect(state["attributes"]?["mine"]?.object?.members.map(\.name).sorted() == ["at", "value"])
  }

  @Test("online is a filter")
  func filter() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    try await Self.apply(world, [Self.record(id, .presence(online: true), at: 1)])
    let found = await world.send("GET", "device?online=true&q=\(id)")
    #expect(found.json.array?.first?["deviceId"]?.string == id)
    #expect(await world.send("GET", "device?online=false&q=\(id)").json == [])
  }

  @Test("what cannot be understood is set aside, and what is not ours passed over")
  func rejected() async throws {
    let world = try await World.shared()
    let id = try await Self.device(world)
    let reasons = try await Self.apply(
      world,
      [
        Self.record(id, type: "martlet.uplink.state", Array("[]".utf8), at: 1),
        Self.record(id, type: "martlet.uplink.state", Array(#"{"route":{"interface":"x"}}"#.utf8), at: 1),
        Self.record(id, type: "martlet.uplink.presence", Array("{}".utf8), at: 1),
        Self.record(id, type: "martlet.uplink.ofTheFuture", [], at: 1),
        Self.record(id, .sent(id: .v7()), at: 1),
        Self.record("ffffffffffffffff", .presence(online: true), at: 1),
      ])
    #expect(reasons.count == 3)
    #expect(await Self.state(world, id)["lastSeenAt"] == nil)
  }

  @Test("however records are cut into batches, the state is the same")
  func anyBatches() async throws {
    let world = try await World.shared()
    for _ in 0..<10 {
      let (one, two) = (try await Self.device(world), try await Self.device(world))
      let records = (0..<30).map { _ -> (Uplink, Double) in
        let at = Double(Int.random(in: 0..<100)) * 2
        return switch Int.random(in: 0..<3) {
        case 0: (.presence(online: .random()), at)
        case 1: (.state(.init(attributes: ["a": .int(Int64(at)), "b": 1], at: Self.time(at - 1))), at)
        default: (.reported([:]), at)
        }
      }
      // Two records of one kind at one time would leave their order to the cut.
      let distinct = Dictionary(records.map { ("\($0.0.kind)\($0.1)", $0) }) { first, _ in first }.values
        .shuffled()
      try await Self.apply(world, distinct.map { Self.record(one, $0.0, at: $0.1) })
      var rest = distinct[...]
      while !rest.isEmpty {
        let batch = rest.prefix(Int.random(in: 1...5))
        rest = rest.dropFirst(batch.count)
        try await Self.apply(world, batch.map { Self.record(two, $0.0, at: $0.1) })
      }
      let (left, right) = (await Self.state(world, one), await Self.state(world, two))
      for field in ["attributes", "lastSeenAt", "lastRoute"] {
        #expect(left[field] == right[field], "\(field)")
      }
    }
  }
}

import Foundation
import Testing
import Wire

@Suite("Wire values")
struct WireTests {
  @Test(
    "times are written in UTC with milliseconds and read back",
    arguments: [0, 1_769_860_800.123, -1.5, 951_826_154])
  func times(_ seconds: Double) throws {
    let date = Date(timeIntervalSince1970: seconds)
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    #expect(abs(try style.parse(date.rfc3339).timeIntervalSince(date)) < 0.001)
    #expect(try #require(Date(rfc3339: date.rfc3339)).rfc3339 == date.rfc3339)
    #expect(date.rfc3339.count == 24 && date.rfc3339.hasSuffix("Z"))
  }

  @Test(
    "RFC 3339 is read in all its forms, and nothing else",
    arguments: [
      ("2026-01-31T12:00:00Z", true), ("2026-01-31T12:00:00.5Z", true), ("2026-01-31T12:00:00.123456Z", true),
      ("2026-01-31T12:00:00+02:00", true), ("2026-01-31T12:00:00.25-05:30", true),
      ("2026-02-30T12:00:00Z", false),
      ("2026-01-31", false), ("2026-01-31T12:00:00", false), ("now", false), ("2026-01-31T25:00:00Z", false),
    ])
  func timeForms(_ text: String, _ isTime: Bool) {
    #expect((Date(rfc3339: text) != nil) == isTime, "\(text)")
  }

  @Test("record ids are UUIDv7 and sort in the order in which they were made")
  func ids() {
    let ids = (0..<50).map { UUID.v7(at: Date(timeIntervalSince1970: 1_700_000_000 + Double($0) / 1000)) }
    #expect(ids.map(\.text) == ids.map(\.text).sorted())
    #expect(ids.allSatisfy { $0.uuid.6 >> 4 == 7 && $0.uuid.8 >> 6 == 0b10 })
  }

  @Test(
    "traceparent is read as W3C says",
    arguments: [
      ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
      ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
      ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
      ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
      ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
      ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false), ("", false),
    ])
  func traceparent(_ text: String, _ isValid: Bool) {
    let trace = TraceContext(traceparent: text)
    #expect((trace != nil) == isValid)
    if let trace { #expect(trace.traceparent == text && trace.child().traceId == trace.traceId) }
  }

  @Test("device topics are read whole", arguments: DeviceTopic.allCases)
  func topics(_ topic: DeviceTopic) throws {
    let parsed = try #require(DeviceTopic.parse(topic.of("00000000deadbeef")))
    #expect(parsed.deviceId == "00000000deadbeef" && parsed.topic == topic)
    #expect(DeviceTopic.parse(topic.of("NOTADEVICE")) == nil)
    #expect(DeviceTopic.parse(topic.of("00000000deadbeef") + "/x") == nil)
  }

  @Test("downlinks and uplinks read back what was written")
  func downlinksAndUplinks() throws {
    let id = UUID.v7()
    let time = Date.now.wholeMilliseconds
    let downlinks: [Downlink] = [
      .command(
        CommandDownlink(
          id: id, type: "REBOOT", params: ["a": 1], lane: "default", expiresAt: time, deliverBy: time,
          turn: CommandTurn(epoch: 7, number: 12))),
      .desired(revision: 7, document: Array(#"{"revision":7,"slots":{}}"#.utf8)),
      .receipt(id: id, status: .failed), .clear(.presence), .withdraw(id: id),
    ]
    for downlink in downlinks {
      let event = downlink.event(deviceId: "00000000deadbeef", traceparent: nil)
      #expect(try Downlink(type: event.type, payload: try #require(event.payload)) == downlink)
    }
    let uplinks: [Uplink] = [
      .status(
        CommandAnswer(id: id, status: .failed, result: nil, error: CommandFault(code: "E1", message: "no"))),
      .status(
        CommandAnswer(
          id: id, status: .progress, progress: CommandProgress(percent: 42.5, step: "erasing"))),
      .status(CommandAnswer(id: id, status: .progress)),
      .reported(["wifi": ReportedSlot(version: 3, sha256: "ab", status: .accepted)]),
      .state(DeviceState(attributes: ["battery": 80], route: ["interface": "udp"], at: time)),
      .presence(online: true), .retainedPresence(online: false),
      .sent(id: id), .undelivered(id: id, reason: .noSubscriber),
      .sent(id: id, by: "bridge-1"), .undelivered(id: id, reason: .held, by: "bridge-2"),
      .published(revision: 9), .brokerConnected,
      .followed(BindingAnswer(id: id, status: .sent)),
      .followed(
        BindingAnswer(
          id: id, status: .failed, error: CommandFault(code: "rejected", message: "no"), isByDevice: true)),
    ]
    for uplink in uplinks {
      let event = uplink.event(deviceId: "00000000deadbeef", traceparent: nil)
      #expect(try Uplink(uplink.kind, payload: try #require(event.payload)) == uplink)
    }
  }

  @Test(
    "a device's numbers are kept as they are written, however large; nobody else's are",
    arguments: ["1e400", "-0", "1E+5"])
  func digits(_ number: String) throws {
    let text = #"{"id":"\#(UUID.v7().text)","status":"SUCCESS","result":{"n":\#(number)}}"#
    let answer = try Uplink(.status, payload: Array(text.utf8))
    #expect(
      String(decoding: answer.event(deviceId: "a", traceparent: nil).payload ?? [], as: UTF8.self) == text)
    #expect((try? JSON(parsing: text)) == nil || number != "1e400")
  }

  @Test(
    "what PROGRESS says is checked, and other answers are not lost for it",
    arguments: [
      (#""PROGRESS","percent":0"#, true), (#""PROGRESS","percent":100,"step":3"#, true),
      (#""PROGRESS","percent":100.5"#, false), (#""PROGRESS","percent":-1"#, false),
      (#""PROGRESS","percent":"42""#, false), (#""PROGRESS","step":{}"#, false),
      (#""SUCCESS","percent":"all","step":{}"#, true),
    ])
  func progress(_ text: String, _ isValid: Bool) {
    let payload = Array(#"{"id":"\#(UUID.v7().text)","status":\#(text)}"#.utf8)
    #expect(((try? Uplink(.status, payload: payload)) != nil) == isValid)
  }

  @Test(
    "what a device says in words is cut where it is too long, hashes are read in either case, and newer members are passed over"
  )
  func words() throws {
    let long = String(repeating: "ä", count: 5000)
    let hash = String(repeating: "AB", count: 32)
    let slot = #"{"version":1,"sha256":"\#(hash)","status":"REJECTED","message":"\#(long)","more":{"new":1}}"#
    let reported = try Uplink(.reported, payload: Array(#"{"slots":{"wifi":\#(slot)},"also":2}"#.utf8))
    #expect(
      reported
        == .reported([
          "wifi": ReportedSlot(
            version: 1, sha256: hash.lowercased(), status: .rejected, message: String(long.prefix(4096)))
        ]))
    let id = UUID.v7()
    let error = #"{"code":"\#(long)","message":"\#(long)","where":"x"}"#
    let failed = try Uplink(
      .status, payload: Array(#"{"id":"\#(id.text)","status":"FAILED","error":\#(error)}"#.utf8))
    guard case .status(let answer) = failed else { throw TestFault() }
    #expect(answer.error == CommandFault(code: String(long.prefix(1024)), message: String(long.prefix(4096))))
    let word = try Uplink(
      .status, payload: Array(#"{"id":"\#(id.text)","status":"FAILED","error":"boom"}"#.utf8))
    guard case .status(let told) = word else { throw TestFault() }
    #expect(told.error == CommandFault(code: "", message: "boom"))
    let progress = try Uplink(
      .status, payload: Array(#"{"id":"\#(id.text)","status":"PROGRESS","step":"\#(long)"}"#.utf8))
    guard case .status(let step) = progress else { throw TestFault() }
    #expect(step.progress?.step == String(long.prefix(1024)))
  }

  private struct TestFault: Error {}

  @Test("a plus that an address has turned into a blank is taken for the plus")
  func timesInAddresses() {
    let time = Date(rfc3339: "2025-11-30T21:00:00Z")
    #expect(Date(rfc3339InAddress: "2025-11-30T23:00:00+02:00") == time)
    #expect(Date(rfc3339InAddress: "2025-11-30T23:00:00 02:00") == time)
    #expect(Date(rfc3339InAddress: "2025-11-30 21:00:00Z") == nil)
    #expect(Date(rfc3339InAddress: "") == nil)
  }

  @Test(
    "entities read back what was written, and pass over what a newer registry adds",
    arguments: [
      .board(
        BoardEntity(
          id: .v7(), organisationId: .v7(), soc: "nrf52", isPublic: true, deviceType: nil,
          configSchemas: ["wifi": true], commandCatalogue: [:], commandTimeouts: ["deliverSeconds": 60],
          rev: 3)),
      .device(
        DeviceEntity(
          id: .v7(), deviceId: "00a1b2c3d4e5f607", mcuId: "m", soc: "s", boardId: .v7(),
          organisationId: .v7(),
          networkId: .v7(), groupIds: [.v7(), .v7()],
          components: [ComponentEntity(id: .v7(), key: "imu0", sensorProfileId: .v7())], rev: 9)),
      .sensorProfile(
        SensorProfileEntity(
          id: .v7(), organisationId: .v7(), name: "n", configSchemas: ["classifier": false], rev: 1)),
      .group(GroupEntity(id: .v7(), organisationId: .v7(), name: "n", rev: 2)),
      .organisation(OrganisationEntity(id: .v7(), name: "n", slug: "s", rev: 1)),
    ] as [Entity])
  func entities(_ entity: Entity) throws {
    var object = try #require(entity.json.object)
    object["newField"] = 1
    #expect(try Entity(entity.kind, json: .object(object)) == entity)
    #expect(EntityKind.parse(key: entity.kind.key(entity.id))?.0 == entity.kind)
    #expect(entity.deletion.rev == entity.rev + 1)
    #expect(entity.deletion.organisationId == entity.organisationId)
  }

  @Test("what an older registry wrote of a device has no groups and no components")
  func olderDevice() throws {
    let device = DeviceEntity(
      id: .v7(), deviceId: "00a1b2c3d4e5f607", mcuId: "m", soc: "s", boardId: .v7(), organisationId: .v7(),
      rev: 1)
    var object = try #require(Entity.device(device).json.object)
    (object["groupIds"], object["components"]) = (nil, nil)
    #expect(try Entity(.device, json: .object(object)) == .device(device))
  }

  @Test func hexadecimal() {
    #expect([UInt8]([0, 1, 0xab, 0xff]).hex == "0001abff")
    #expect([UInt8]().hex.isEmpty)
  }
}

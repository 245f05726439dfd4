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
      .receipt(id: id, status: .failed),
    ]
    for downlink in downlinks {
      let event = downlink.event(deviceId: "00000000deadbeef", traceparent: nil)
      #expect(try Downlink(type: event.type, payload: try #require(event.payload)) == downlink)
    }
    let uplinks: [Uplink] = [
      .status(
        CommandAnswer(id: id, status: .failed, result: nil, error: CommandFault(code: "E1", message: "no"))),
      .reported(["wifi": ReportedSlot(version: 3, sha256: "ab", status: .accepted)]),
      .state(DeviceState(attributes: ["battery": 80], route: ["interface": "udp"], at: time)),
      .presence(online: true),
      .sent(id: id), .undelivered(id: id, reason: .noSubscriber), .published(revision: 9), .brokerConnected,
    ]
    for uplink in uplinks {
      let event = uplink.event(deviceId: "00000000deadbeef", traceparent: nil)
      #expect(try Uplink(uplink.kind, payload: try #require(event.payload)) == uplink)
    }
  }

  @Test("entities read back what was written, and pass over what a newer registry adds")
  func entities() throws {
    let board = Entity.board(
      BoardEntity(
        id: .v7(), organisationId: .v7(), soc: "nrf52", isPublic: true, deviceType: nil,
        configSchemas: ["wifi": true],
        commandCatalogue: [:], rev: 3))
    var object = try #require(board.json.object)
    object["newField"] = 1
    #expect(try Entity(.board, json: .object(object)) == board)
    #expect(EntityKind.parse(key: EntityKind.board.key(board.id))?.0 == .board)
  }

  @Test func hexadecimal() {
    #expect([UInt8]([0, 1, 0xab, 0xff]).hex == "0001abff")
    #expect([UInt8]().hex.isEmpty)
  }
}

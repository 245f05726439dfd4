import FoundationEssentials
import Testing

@testable import Wire

@Suite struct CompactStatusTests {
  private static let bytes = [
    UInt8(ascii: "a"), UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "-"), UInt8(ascii: "}"), 0, 0xC3,
    0xFF,
  ]

  /// What is read by its looks is what the long way reads, whichever byte is another. A blank at the end makes it the long way.
  private func compare<Value: Equatable>(
    _ payload: [UInt8], _ looks: ([UInt8]) -> Bool, _ read: ([UInt8]) throws -> Value
  ) throws -> Int {
    var taken = 0
    #expect(looks(payload))
    #expect(!looks(payload + [0x20]))
    for index in payload.indices {
      #expect(!looks(Array(payload[..<index])))
      for byte in Self.bytes {
        var changed = payload
        changed[index] = byte
        guard looks(changed) else { continue }
        taken += 1
        #expect(try read(changed) == read(changed + [0x20]))
      }
    }
    return taken
  }

  @Test(arguments: DeviceStatus.allCases) func answersAndReceipts(_ status: DeviceStatus) throws {
    let payload = Uplink.status(CommandAnswer(id: .v7(), status: status)).json.bytes
    let looks = { (payload: [UInt8]) in CompactStatus.read(payload) != nil }
    #expect(CompactStatus.read(payload)?.status == status)
    #expect(try compare(payload, looks) { try Uplink(.status, payload: $0) } > 25)
    #expect(try compare(payload, looks) { try Downlink(type: Downlink.receiptType, payload: $0) } > 25)
  }

  @Test(arguments: ["bridge-1", "bridge-a b", ""]) func deliveries(_ replica: String) throws {
    let sent = Uplink.sent(id: .v7(), by: replica)
    let payload = try #require(sent.event(deviceId: "0123456789abcdef", traceparent: nil).payload)
    #expect(try Uplink(.sent, payload: payload) == sent)
    let taken = try compare(payload, { CompactStatus.readSent($0) != nil }) { try Uplink(.sent, payload: $0) }
    #expect(taken > 25)
  }

  @Test func whatHasMoreToSayIsReadTheLongWay() throws {
    for text in ["a\"b", "a\\b", "ä", String(repeating: "x", count: 200)] {
      let sent = Uplink.sent(id: .v7(), by: text)
      let payload = try #require(sent.event(deviceId: "0123456789abcdef", traceparent: nil).payload)
      #expect(CompactStatus.readSent(payload) == nil)
      #expect(try Uplink(.sent, payload: payload) == sent)
    }
    let progress = CommandAnswer(id: .v7(), status: .progress, progress: CommandProgress(percent: 5))
    #expect(
      try Uplink(.status, payload: Uplink.status(progress).json.bytes) == .status(progress))
  }

  @Test func kindsAreKnownByTheirBytes() {
    for kind in Uplink.Kind.allCases {
      let name = Array(kind.rawValue.utf8)
      #expect(name.withUnsafeBytes { Uplink.Kind(utf8: $0) } == kind)
      #expect(name.dropLast().withUnsafeBytes { Uplink.Kind(utf8: $0) } == nil)
      #expect((name + [0x61]).withUnsafeBytes { Uplink.Kind(utf8: $0) } == nil)
    }
    #expect([UInt8]().withUnsafeBytes { Uplink.Kind(utf8: $0) } == nil)
  }

  @Test func eachStoryIsAnother() throws {
    var seen: Set<String> = []
    for _ in 0..<1000 {
      let story = TraceContext()
      let child = story.child()
      #expect(TraceContext(traceparent: story.traceparent) == story)
      #expect(child.traceId == story.traceId && child.spanId != story.spanId && child.sampled)
      #expect(story.traceId.utf8.count == 32 && story.spanId.utf8.count == 16)
      seen.insert(story.traceId)
      seen.insert(story.spanId)
    }
    #expect(seen.count == 2000)
    let unsampled = TraceContext(traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
    #expect(unsampled?.sampled == false && unsampled?.child().sampled == false)
    let later = TraceContext(traceparent: "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more")
    #expect(later?.traceparent == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
  }
}

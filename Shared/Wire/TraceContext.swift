/// W3C Trace Context: which story a request, event or message belongs to.
public struct TraceContext: Sendable, Equatable {
  /// 32 lower-case hex characters, the same all along one story.
  public let traceId: String
  /// 16 lower-case hex characters, this step.
  public let spanId: String
  /// Whether the caller records the trace.
  public let sampled: Bool

  /// A new story.
  public init() {
    traceId = Identifier.randomDeviceId() + Identifier.randomDeviceId()
    spanId = Identifier.randomDeviceId()
    sampled = true
  }

  private init(traceId: String, spanId: String, sampled: Bool) {
    self.traceId = traceId
    self.spanId = spanId
    self.sampled = sampled
  }

  /// Reads a `traceparent`; nil if it is not a valid one.
  public init?(traceparent: String) {
    // By bytes, since it is read for each request and record, and text by characters is slow.
    var text = traceparent
    let read = text.withUTF8 { bytes -> TraceContext? in
      func isHex(_ range: Range<Int>) -> Bool {
        bytes[range].allSatisfy { Hex.value($0) != nil && !(0x41...0x46).contains($0) }
      }
      func isZero(_ range: Range<Int>) -> Bool { bytes[range].allSatisfy { $0 == UInt8(ascii: "0") } }
      let dash = UInt8(ascii: "-")
      guard bytes.count >= 55, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash, isHex(0..<2),
        isHex(3..<35), isHex(36..<52), isHex(53..<55),
        bytes[0..<2].contains(where: { $0 != UInt8(ascii: "f") }),
        // A later version may say more.
        bytes.count == 55 || bytes[55] == dash && !isZero(0..<2), !isZero(3..<35), !isZero(36..<52),
        let flags = Hex.value(bytes[54])
      else { return nil }
      return TraceContext(
        traceId: String(decoding: bytes[3..<35], as: UTF8.self),
        spanId: String(decoding: bytes[36..<52], as: UTF8.self), sampled: flags & 1 == 1)
    }
    guard let read else { return nil }
    self = read
  }

  /// The next step of the same story.
  public func child() -> TraceContext {
    TraceContext(traceId: traceId, spanId: Identifier.randomDeviceId(), sampled: sampled)
  }

  /// The header's value.
  public var traceparent: String { "00-\(traceId)-\(spanId)-\(sampled ? "01" : "00")" }
}

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
    let parts = traceparent.split(separator: "-", omittingEmptySubsequences: false)
    func isHex(_ text: Substring, _ count: Int) -> Bool {
      text.utf8.count == count && text.utf8.allSatisfy { Hex.value($0) != nil && !($0 >= 65 && $0 <= 70) }
    }
    guard parts.count >= 4, isHex(parts[0], 2), parts[0] != "ff", isHex(parts[1], 32), isHex(parts[2], 16),
      isHex(parts[3], 2), parts[0] != "00" || parts.count == 4, parts[1].contains(where: { $0 != "0" }),
      parts[2].contains(where: { $0 != "0" }), let flags = UInt8(parts[3], radix: 16)
    else { return nil }
    self.init(traceId: String(parts[1]), spanId: String(parts[2]), sampled: flags & 1 == 1)
  }

  /// The next step of the same story.
  public func child() -> TraceContext {
    TraceContext(traceId: traceId, spanId: Identifier.randomDeviceId(), sampled: sampled)
  }

  /// The header's value.
  public var traceparent: String { "00-\(traceId)-\(spanId)-\(sampled ? "01" : "00")" }
}

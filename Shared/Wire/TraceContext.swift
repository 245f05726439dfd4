import Synchronization

/// W3C Trace Context: which story a request, event or message belongs to.
public struct TraceContext: Sendable, Equatable {
  /// The header's value, of the version that this suite writes: `00-<trace>-<step>-<flags>`.
  public let traceparent: String

  private static let dash = UInt8(ascii: "-")
  private static let length = 55
  private static let trace = 3..<35
  private static let span = 36..<52

  /// 32 lower-case hex characters, the same all along one story.
  public var traceId: String { String(decoding: traceparent.utf8.dropFirst(3).prefix(32), as: UTF8.self) }
  /// 16 lower-case hex characters, this step.
  public var spanId: String { String(decoding: traceparent.utf8.dropFirst(36).prefix(16), as: UTF8.self) }
  /// Whether the caller records the trace.
  public var sampled: Bool { traceparent.utf8.last == UInt8(ascii: "1") }

  /// A new story.
  public init() {
    self.init(sampled: true) { text in
      Self.write(Noise.next(), to: text[Self.trace.prefix(16)])
      Self.write(Noise.next(), to: text[Self.trace.suffix(16)])
      Self.write(Noise.next(), to: text[Self.span])
    }
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
      guard bytes.count >= Self.length, bytes[2] == Self.dash, bytes[35] == Self.dash, bytes[52] == Self.dash,
        isHex(0..<2), isHex(Self.trace), isHex(Self.span), isHex(53..<55),
        bytes[0..<2].contains(where: { $0 != UInt8(ascii: "f") }),
        // A later version may say more.
        bytes.count == Self.length || bytes[55] == Self.dash && !isZero(0..<2), !isZero(Self.trace),
        !isZero(Self.span), let flags = Hex.value(bytes[54])
      else { return nil }
      return TraceContext(sampled: flags & 1 == 1) { Self.copy(bytes[Self.trace.lowerBound..<52], to: $0) }
    }
    guard let read else { return nil }
    self = read
  }

  /// The next step of the same story.
  public func child() -> TraceContext {
    var before = traceparent
    return before.withUTF8 { before in
      TraceContext(sampled: sampled) { text in
        Self.copy(before[Self.trace], to: text)
        Self.write(Noise.next(), to: text[Self.span])
      }
    }
  }

  /// - Parameter fill: writes trace and step at their places.
  private init(sampled: Bool, _ fill: (UnsafeMutableBufferPointer<UInt8>) -> Void) {
    traceparent = String(unsafeUninitializedCapacity: Self.length) { text in
      for index in text.indices { text[index] = UInt8(ascii: "0") }
      for index in [2, 35, 52] { text[index] = Self.dash }
      if sampled { text[54] = UInt8(ascii: "1") }
      fill(text)
      return Self.length
    }
  }

  private static func copy(
    _ bytes: Slice<UnsafeBufferPointer<UInt8>>, to text: UnsafeMutableBufferPointer<UInt8>
  ) {
    for index in bytes.indices { text[index] = bytes[index] }
  }

  private static func write(_ number: UInt64, to text: Slice<UnsafeMutableBufferPointer<UInt8>>) {
    var (text, number) = (text, number)
    for index in text.indices {
      text[index] = Hex.digit(UInt8(truncatingIfNeeded: number & 15))
      number >>= 4
    }
  }
}

/// Numbers that nobody has to be unable to guess, none of them zero: SplitMix64 (Steele, Lea and Flood, 2014) from a random
/// beginning, since asking the system for each costs as much as all else that a story takes.
private enum Noise {
  private static let state = Atomic<UInt64>(.random(in: 0...UInt64.max))

  static func next() -> UInt64 {
    var mixed = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return (mixed ^ (mixed >> 31)) | 1
  }
}

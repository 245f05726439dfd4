import FoundationEssentials
import Wire

extension DeviceExpression {
  /// A value that a field is compared with, read as the field's kind asks.
  public enum Operand: Sendable {
    case text(String)
    case id(UUID)
    case time(Date)
    case flag(Bool)
    /// Four numbers with dots, without leading zeros: `1.2.0.0`.
    case version(String)
    /// Compared with the value as text, as the API writes it.
    case pattern(Pattern)
  }

  /// Text that is open at one end or at both.
  public struct Pattern: Sendable {
    public let text: String
    /// Anything may stand before it.
    public let isOpenBefore: Bool
    /// Anything may follow it.
    public let isOpenAfter: Bool

    public init(_ text: String, isOpenBefore: Bool, isOpenAfter: Bool) {
      (self.text, self.isOpenBefore, self.isOpenAfter) = (text, isOpenBefore, isOpenAfter)
    }

    /// The least text above all that begin with `text`, by code points: what begins with it lies between the two.
    /// Nil if there is none.
    public var end: String? {
      var scalars = Array(text.unicodeScalars)
      while let last = scalars.popLast() {
        // The surrogates are no characters.
        let next = last.value == 0xD7FF ? 0xE000 : last.value + 1
        guard let scalar = Unicode.Scalar(next) else { continue }
        scalars.append(scalar)
        var end = String.UnicodeScalarView()
        end.append(contentsOf: scalars)
        return String(end)
      }
      return nil
    }
  }
}

extension DeviceExpression.Operand {
  /// - Parameter value: with its asterisks told apart.
  /// - Returns: nil if the field can have no such value.
  init?(_ value: FilterValue, for kind: DeviceField.Kind) {
    if let pattern = value.pattern {
      self = .pattern(pattern)
    } else {
      self.init(value.text, for: kind)
    }
  }

  /// Without regard to asterisks.
  init?(_ text: String, for kind: DeviceField.Kind) {
    switch kind {
    case .identifier, .text, .anything: self = .text(text)
    case .id:
      guard let id = UUID(text: text) else { return nil }
      self = .id(id)
    case .time:
      guard let time = Date(rfc3339InAddress: text) else { return nil }
      self = .time(time)
    case .flag:
      guard text == "true" || text == "false" else { return nil }
      self = .flag(text == "true")
    case .version:
      guard let version = Self.version(text) else { return nil }
      self = .version(version)
    }
  }

  /// `1.2` is `1.2.0.0`.
  private static func version(_ text: String) -> String? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...4).contains(parts.count) else { return nil }
    let numbers = parts.compactMap { part in
      part.utf8.allSatisfy { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") } ? Int64(part) : nil
    }
    guard numbers.count == parts.count else { return nil }
    return (numbers + Array(repeating: 0, count: 4 - numbers.count)).map { "\($0)" }.joined(separator: ".")
  }
}

extension DeviceField.Kind {
  /// What a value must be, for messages.
  var expected: String {
    switch self {
    case .identifier, .text, .anything: "a value"
    case .id: "a UUID"
    case .time: "a time of RFC 3339, such as 2026-01-31T12:00:00Z"
    case .flag: "true or false"
    case .version: "a version of one to four numbers, such as 1.2.3"
    }
  }
}

import CRE2

/// A pattern of a schema, compiled by RE2: matching takes time linear in the text, whatever the pattern.
///
/// `@unchecked Sendable`: RE2 documents a compiled pattern as safe for matching from any thread, and the stored
/// properties are constants.
final class Pattern: @unchecked Sendable {
  /// As the schema writes it.
  let text: String
  /// The number of instructions of its program.
  let size: Int
  private let handle: OpaquePointer

  /// - Parameters:
  ///   - text: in the syntax of ECMA-262.
  ///   - memory: bytes for program and automaton.
  init(_ text: String, memory: Int) throws(PatternFault) {
    let translated = try PatternTranslation.translate(text)
    var message = [CChar](repeating: 0, count: 200)
    let handle = translated.withContiguousBytes { bytes, count in
      martlet_pattern_new(bytes, count, Int64(memory), &message, message.count)
    }
    guard let handle else {
      let reason = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      throw PatternFault(reason: Self.advice(for: reason))
    }
    self.handle = handle
    self.text = text
    size = Int(martlet_pattern_size(handle))
  }

  deinit { martlet_pattern_free(handle) }

  /// Whether it matches somewhere in the text.
  func matches(_ text: String) -> Bool {
    text.withContiguousBytes { bytes, count in martlet_pattern_matches(handle, bytes, count) != 0 }
  }

  private static func advice(for reason: String) -> String {
    if reason.hasPrefix("pattern too large") {
      return "is too large a pattern: bound lengths by maxLength rather than by repetition"
    }
    if reason.hasPrefix("invalid repetition size") || reason.hasPrefix("bad repetition operator: {") {
      return "repeats more than 1000 times: bound lengths by maxLength rather than by repetition"
    }
    return "is not a pattern that can be used: \(reason)"
  }
}

extension String {
  fileprivate func withContiguousBytes<R>(_ body: (UnsafePointer<CChar>?, Int) -> R) -> R {
    var text = self
    return text.withUTF8 { bytes in
      bytes.withMemoryRebound(to: CChar.self) { body($0.baseAddress, $0.count) }
    }
  }
}

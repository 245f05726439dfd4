/// The bytes of a device's message, rid of what C firmware leaves in them and no JSON reader takes (SPEC, section 10).
enum DevicePayload {
  /// - Returns: nil if there is nothing to mend, which is nearly always. Zero bytes at the end and a byte order mark in
  ///   front are dropped, and `\u0000` in a text, which PostgreSQL cannot keep, becomes U+FFFD.
  static func mended(_ payload: [UInt8]) -> [UInt8]? {
    let end = (payload.lastIndex { $0 != 0 } ?? -1) + 1
    let start = payload.starts(with: mark) ? mark.count : 0
    // A payload of nothing else is as empty as it looks.
    let body = payload[min(start, end)..<end]
    if let mended = withoutNull(body) { return mended }
    return body.count == payload.count ? nil : Array(body)
  }

  private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
  private static let null = Array("u0000".utf8)
  private static let replacement = Array("uFFFD".utf8)

  /// Outside of texts a backslash is no JSON, so it need not be known where they begin.
  private static func withoutNull(_ body: ArraySlice<UInt8>) -> [UInt8]? {
    guard var position = body.firstIndex(of: UInt8(ascii: "\\")) else { return nil }
    var mended: [UInt8]?
    while position + 1 < body.endIndex {
      guard body[position] == UInt8(ascii: "\\") else {
        position += 1
        continue
      }
      if body[(position + 1)...].starts(with: null) {
        let place = position + 1 - body.startIndex
        mended = mended ?? Array(body)
        mended?.replaceSubrange(place..<place + null.count, with: replacement)
      }
      // What is escaped is no escape itself.
      position += 2
    }
    return mended
  }
}

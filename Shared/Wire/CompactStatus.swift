import FoundationEssentials

/// The commonest payloads, known by their looks: parsing each would be a good part of what the services do. All others are read
/// the long way.
public enum CompactStatus {
  private static let start = Array(#"{"id":""#.utf8)
  private static let middle = Array(#"","status":""#.utf8)
  private static let ends = DeviceStatus.allCases.map { ($0, Array(($0.rawValue + #""}"#).utf8)) }

  /// What `{"id":"<UUID>","status":"<word>"}`, without a space, says, if it certainly is one. Nil says nothing.
  public static func read(_ payload: [UInt8]) -> (id: UUID, status: DeviceStatus)? {
    payload.withUnsafeBufferPointer { bytes in
      guard let (id, rest) = idAndRest(bytes, then: middle),
        let (status, _) = ends.first(where: { rest.elementsEqual($0.1) })
      else { return nil }
      return (id, status)
    }
  }

  private static let by = Array(#"","by":""#.utf8)

  /// The same for `{"id":"<UUID>","by":"<replica>"}`.
  static func readSent(_ payload: [UInt8]) -> (id: UUID, by: String)? {
    payload.withUnsafeBufferPointer { bytes in
      guard let (id, rest) = idAndRest(bytes, then: by), rest.count <= 128,
        rest.suffix(2).elementsEqual(#""}"#.utf8),
        rest.dropLast(2).allSatisfy({
          (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
        })
      else { return nil }
      return (id, String(decoding: rest.dropLast(2), as: UTF8.self))
    }
  }

  private static func idAndRest(_ bytes: UnsafeBufferPointer<UInt8>, then middle: [UInt8]) -> (
    UUID, Slice<UnsafeBufferPointer<UInt8>>
  )? {
    let idEnd = start.count + 36
    let restStart = idEnd + middle.count
    guard bytes.count > restStart, bytes[..<start.count].elementsEqual(start),
      bytes[idEnd..<restStart].elementsEqual(middle),
      let id = UUID(utf8: UnsafeBufferPointer(rebasing: bytes[start.count..<idEnd]))
    else { return nil }
    return (id, bytes[restStart...])
  }
}

import FoundationEssentials
import Wire

/// The commonest of all payloads, `{"id":"<UUID>","status":"<word>"}` without a space, known by its looks: parsing
/// each would be a good part of what the bridge does. All others are read the long way.
public enum CompactStatus {
  private static let start = Array(#"{"id":""#.utf8)
  private static let middle = Array(#"","status":""#.utf8)
  private static let ends = DeviceStatus.allCases.map { ($0, Array(($0.rawValue + #""}"#).utf8)) }

  /// What it says, if it certainly is one. Nil says nothing.
  public static func read(_ payload: [UInt8]) -> (id: UUID, status: DeviceStatus)? {
    payload.withUnsafeBufferPointer { bytes in
      let idEnd = start.count + 36
      let wordStart = idEnd + middle.count
      guard bytes.count > wordStart, bytes[..<start.count].elementsEqual(start),
        bytes[idEnd..<wordStart].elementsEqual(middle),
        let (status, _) = ends.first(where: { bytes[wordStart...].elementsEqual($0.1) }),
        let id = UUID(text: String(decoding: bytes[start.count..<idEnd], as: UTF8.self))
      else { return nil }
      return (id, status)
    }
  }
}

extension Downlink {
  /// Reads a record of the downlink topic; receipts, two of each three, by their looks.
  /// - Throws: what is wrong with it.
  public init(recordOf type: String, payload: [UInt8]) throws {
    if type == Self.receiptType, let (id, status) = CompactStatus.read(payload) {
      self = .receipt(id: id, status: ReceiptStatus(status))
    } else {
      try self.init(type: type, payload: payload)
    }
  }
}

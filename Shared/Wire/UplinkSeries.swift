import FoundationEssentials

/// Several uplinks of one device in one record, in order: what Kafka and everybody who reads the topic take is by the record, and
/// most of what is said of a command is said in one breath.
///
/// The value is a JSON text sequence (RFC 7464); each of its texts is an object of `type`, `time` and `data`, in this order and
/// without a space between them.
public enum UplinkSeries {
  /// One of them, as it would stand alone.
  public struct Item: Sendable, Equatable {
    public let kind: Uplink.Kind
    public let time: Date
    public let payload: [UInt8]

    public init(kind: Uplink.Kind, time: Date, payload: [UInt8]) {
      (self.kind, self.time, self.payload) = (kind, time, payload)
    }
  }

  /// What the others stand between; JSON has no place for it.
  public static let separator: UInt8 = 0x1E

  private static let type = Array(#"{"type":""#.utf8)
  private static let time = Array(#"","time":""#.utf8)
  private static let data = Array(#"","data":"#.utf8)
  private static let end = Array("}\n".utf8)

  /// Appends one.
  /// - Parameter payload: without `separator`.
  public static func append(type name: String, time: Date, payload: [UInt8], to value: inout [UInt8]) {
    value.append(separator)
    value.append(contentsOf: Self.type)
    value.append(contentsOf: name.utf8)
    value.append(contentsOf: Self.time)
    time.append(to: &value)
    value.append(contentsOf: Self.data)
    value.append(contentsOf: payload)
    value.append(contentsOf: Self.end)
  }

  /// Reads all, but for kinds that this version does not know.
  /// - Throws: `JSONFaults` if it is no such sequence.
  public static func items(_ value: [UInt8]) throws -> [Item] {
    try value.withUnsafeBytes { bytes in
      var items: [Item] = []
      var rest = bytes[...]
      while !rest.isEmpty {
        guard rest.first == separator else { throw fault }
        let text = rest.dropFirst().prefix { $0 != separator }
        rest = rest[text.endIndex...]
        if let item = try item(text) { items.append(item) }
      }
      return items
    }
  }

  private static let fault = JSONFaults([JSONFault(pointer: "", message: "is no series of uplinks")])

  private static func item(_ text: Slice<UnsafeRawBufferPointer>) throws -> Item? {
    var text = text
    func take(_ word: [UInt8]) -> Bool {
      guard text.starts(with: word) else { return false }
      text = text.dropFirst(word.count)
      return true
    }
    guard take(type) else { throw fault }
    let name = text.prefix { $0 != UInt8(ascii: "\"") }
    text = text[name.endIndex...]
    guard take(time) else { throw fault }
    let at = text.prefix(24)
    text = text[at.endIndex...]
    guard let at = Date(rfc3339: UnsafeRawBufferPointer(rebasing: at)), take(data),
      text.suffix(end.count).elementsEqual(end)
    else { throw fault }
    return Uplink.Kind(utf8: UnsafeRawBufferPointer(rebasing: name)).map {
      Item(kind: $0, time: at, payload: Array(text.dropLast(end.count)))
    }
  }
}

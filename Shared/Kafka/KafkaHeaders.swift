/// One header of a message: a name and bytes.
public struct KafkaHeader: Sendable, Hashable {
  /// The header's name.
  public var name: String
  /// Its value; Kafka's null value reads as empty.
  public var value: [UInt8]

  /// Its value as text; bytes that are no UTF-8 are replaced.
  public var text: String { String(decoding: value, as: UTF8.self) }

  /// A header with bytes.
  public init(_ name: String, _ value: [UInt8]) { (self.name, self.value) = (name, value) }

  /// A header with text, as UTF-8.
  public init(_ name: String, _ text: String) { self.init(name, Array(text.utf8)) }
}

/// The headers of a message, in order; a name may stand there more than once.
///
/// All in one piece of memory: of thousands of messages a second each has seven, and as values of their own they would be a
/// third of what the message costs.
public struct KafkaHeaders: Sendable, Hashable {
  /// For each: the lengths of name and value (32 bits each), the name and a NUL, the value.
  private var bytes: [UInt8] = []

  public init() {}

  /// Those.
  public init(_ headers: some Sequence<KafkaHeader>) {
    for header in headers { header.value.withUnsafeBytes { append(header.name, $0) } }
  }

  /// Makes room for so many bytes of names and values, and eight for each header.
  public mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

  /// Adds one with text, as UTF-8.
  public mutating func append(_ name: String, _ text: String) {
    var text = text
    text.withUTF8 { append(name, UnsafeRawBufferPointer($0)) }
  }

  /// Adds one with bytes.
  public mutating func append(_ name: String, _ value: UnsafeRawBufferPointer) {
    var name = name
    name.withUTF8 { append(UnsafeRawBufferPointer($0), value) }
  }

  mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    append(length: name.count)
    append(length: value.count)
    bytes.append(contentsOf: name)
    bytes.append(0)
    bytes.append(contentsOf: value)
  }

  private mutating func append(length: Int) {
    withUnsafeBytes(of: UInt32(length)) { bytes.append(contentsOf: $0) }
  }

  /// The last of that name, as Kafka's own clients read it, for the time of the call; nil if there is none.
  public func withValue<R>(of name: String, _ body: (UnsafeRawBufferPointer) -> R) -> R? {
    var name = name
    return name.withUTF8 { name in
      var found: UnsafeRawBufferPointer?
      return bytes.withUnsafeBytes { bytes in
        Self.each(bytes) { own, value in
          if own.count == name.count, own.elementsEqual(name) { found = value }
        }
        return found.map(body)
      }
    }
  }

  /// The text of the last of that name; bytes that are no UTF-8 are replaced.
  public subscript(name: String) -> String? {
    withValue(of: name) { String(decoding: $0, as: UTF8.self) }
  }

  /// Calls `body` with each name, which a NUL follows, and value, for the time of the call.
  func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
    bytes.withUnsafeBytes { Self.each($0, body) }
  }

  private static func each(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
  ) {
    var position = 0
    while position < bytes.count {
      let name = Int(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      let value = Int(bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self))
      let start = position + 8
      position = start + name + 1 + value
      body(
        UnsafeRawBufferPointer(rebasing: bytes[start..<start + name]),
        UnsafeRawBufferPointer(rebasing: bytes[start + name + 1..<position]))
    }
  }

  public var isEmpty: Bool { bytes.isEmpty }

  /// Each as a value of its own.
  public var all: [KafkaHeader] {
    var all: [KafkaHeader] = []
    forEach { all.append(KafkaHeader(String(decoding: $0, as: UTF8.self), Array($1))) }
    return all
  }
}

extension KafkaHeaders: ExpressibleByArrayLiteral {
  public init(arrayLiteral elements: KafkaHeader...) { self.init(elements) }
}

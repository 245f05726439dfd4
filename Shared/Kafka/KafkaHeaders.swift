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

  /// The bytes of the last of that name, as Kafka's own clients read it; nil if there is none.
  public func value(of name: String) -> ArraySlice<UInt8>? {
    var name = name
    let place = name.withUTF8 { name in
      bytes.withUnsafeBytes { bytes in
        var place: Range<Int>?
        Self.each(bytes) { own, value in
          guard own.count == name.count,
            bytes[own].elementsEqual(name)
          else { return }
          place = value
        }
        return place
      }
    }
    return place.map { bytes[$0] }
  }

  /// The text of the last of that name; bytes that are no UTF-8 are replaced.
  public subscript(name: String) -> String? {
    value(of: name).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Calls `body` with each name, which a NUL follows, and value, for the time of the call.
  func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
    bytes.withUnsafeBytes { bytes in
      Self.each(bytes) {
        body(UnsafeRawBufferPointer(rebasing: bytes[$0]), UnsafeRawBufferPointer(rebasing: bytes[$1]))
      }
    }
  }

  /// Where names and values are.
  @inline(__always)
  private static func each(
    _ bytes: UnsafeRawBufferPointer, _ body: (_ name: Range<Int>, _ value: Range<Int>) -> Void
  ) {
    var position = 0
    while position < bytes.count {
      let name = Int(bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      let value = Int(bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self))
      let start = position + 8
      position = start + name + 1 + value
      body(start..<start + name, start + name + 1..<position)
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

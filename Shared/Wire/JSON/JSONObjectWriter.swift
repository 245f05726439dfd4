import FoundationEssentials

/// Writes one JSON object straight into bytes, member by member: for the records of which thousands are made a second, each
/// of whose values would otherwise be a node of a tree first.
///
/// The caller vouches that the names are unique and need no escaping.
public struct JSONObjectWriter {
  private var bytes: [UInt8]

  /// - Parameter capacity: about how many bytes the object will have.
  public init(capacity: Int = 256) {
    bytes = []
    bytes.reserveCapacity(capacity)
    bytes.append(UInt8(ascii: "{"))
  }

  /// Adds a text, unless there is none.
  public mutating func add(_ name: StaticString, _ text: String?) {
    guard let text else { return }
    begin(name)
    JSON.write(text, to: &bytes)
  }

  /// Adds a text that has nothing to escape: a word of ours, an id, a time.
  public mutating func add(_ name: StaticString, plain text: String) {
    begin(name)
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: text.utf8)
    bytes.append(UInt8(ascii: "\""))
  }

  /// Adds a time in the suite's form, unless there is none.
  public mutating func add(_ name: StaticString, _ time: Date?) {
    guard let time else { return }
    begin(name)
    bytes.append(UInt8(ascii: "\""))
    time.append(to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  /// Adds an id.
  public mutating func add(_ name: StaticString, _ id: UUID) {
    begin(name)
    bytes.append(UInt8(ascii: "\""))
    id.append(to: &bytes)
    bytes.append(UInt8(ascii: "\""))
  }

  /// Adds a whole number.
  public mutating func add(_ name: StaticString, _ number: Int64) {
    begin(name)
    bytes.append(contentsOf: String(number).utf8)
  }

  /// Adds any value, unless there is none.
  public mutating func add(_ name: StaticString, _ value: JSON?) {
    guard let value else { return }
    begin(name)
    value.write(to: &bytes, canonical: false)
  }

  /// The object.
  public consuming func finish() -> [UInt8] {
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }

  private mutating func begin(_ name: StaticString) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
  }
}

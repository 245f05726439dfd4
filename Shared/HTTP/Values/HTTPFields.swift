/// Header fields: ordered, names compared without regard to case, the same name allowed more than once.
public struct HTTPFields: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  /// One name and its value.
  public struct Field: Sendable, Equatable {
    /// The name as it was written.
    public var name: String
    /// The value without the white space around it.
    public var value: String

    /// A field.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  private var fields: [Field]

  /// No fields.
  public init() { fields = [] }

  /// The given fields, in this order.
  public init(_ fields: [Field]) { self.fields = fields }

  /// The fields of a literal, in its order.
  public init(dictionaryLiteral elements: (String, String)...) {
    fields = elements.map { Field($0, $1) }
  }

  /// The first value under the name; setting replaces all of them, `nil` removes them.
  public subscript(name: String) -> String? {
    get { fields.first { Self.same($0.name, name) }?.value }
    set {
      let place = fields.firstIndex { Self.same($0.name, name) }
      guard let newValue else { return fields.removeAll { Self.same($0.name, name) } }
      guard let place else { return fields.append(Field(name, newValue)) }
      fields[place].value = newValue
      let rest = fields[(place + 1)...].filter { !Self.same($0.name, name) }
      fields.replaceSubrange((place + 1)..., with: rest)
    }
  }

  /// Adds a field after the others, also when the name is there already.
  public mutating func append(_ name: String, _ value: String) { fields.append(Field(name, value)) }

  /// Every value under the name, in order.
  public func values(_ name: String) -> [String] {
    fields.filter { Self.same($0.name, name) }.map(\.value)
  }

  mutating func reserveCapacity(_ count: Int) { fields.reserveCapacity(count) }

  /// ASCII letters without regard to case, and no allocation: this runs for every look-up in a request.
  static func same(_ a: String, _ b: String) -> Bool {
    let (left, right) = (a.utf8, b.utf8)
    guard left.count == right.count else { return false }
    return zip(left, right).allSatisfy { $0 == $1 || lower($0) == lower($1) }
  }

  private static func lower(_ byte: UInt8) -> UInt8 { byte &- 65 < 26 ? byte | 0x20 : byte }
}

extension HTTPFields: RandomAccessCollection {
  /// Always 0.
  public var startIndex: Int { fields.startIndex }
  /// How many fields there are.
  public var endIndex: Int { fields.endIndex }
  /// The field at a place.
  public subscript(position: Int) -> Field { fields[position] }
}

extension HTTPFields {
  /// Whether this may stand as a field's name (RFC 9110's `token`).
  public static func isToken(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
      }
  }

  /// Whether this may stand as a field's value: a line break in it would let its author write fields of his own.
  public static func isValue(_ value: String) -> Bool {
    value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }
}

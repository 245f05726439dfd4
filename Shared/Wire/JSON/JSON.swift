/// A JSON value (RFC 8259) that keeps the order of members and tells whole numbers from others.
///
/// The suite's own, because what the contract promises needs a value to look at: a pointer for each fault, unknown
/// fields refused, the canonical form of RFC 8785, a depth limit (`docs/decisions/0002-json.md`).
public enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case int(Int64)
  /// Any other number; always finite.
  case double(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)

  /// The member of that name, if this is an object that has it.
  public subscript(_ name: String) -> JSON? {
    if case .object(let object) = self { object[name] } else { nil }
  }

  /// The text, if this is a string.
  public var string: String? { if case .string(let text) = self { text } else { nil } }
  /// The truth value, if this is one.
  public var bool: Bool? { if case .bool(let truth) = self { truth } else { nil } }
  /// The whole number, if this is one.
  public var int: Int64? { if case .int(let number) = self { number } else { nil } }
  /// The number, whole or not, if this is one.
  public var double: Double? {
    switch self {
    case .int(let number): Double(number)
    case .double(let number): number
    default: nil
    }
  }
  /// The elements, if this is an array.
  public var array: [JSON]? { if case .array(let elements) = self { elements } else { nil } }
  /// The members, if this is an object.
  public var object: JSONObject? { if case .object(let object) = self { object } else { nil } }

  /// What it is, in a word, for messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// The members of a JSON object in the order in which they came; names are unique.
public struct JSONObject: Sendable, ExpressibleByDictionaryLiteral {
  /// One name and its value.
  public struct Member: Sendable, Equatable {
    public let name: String
    public var value: JSON
  }

  public private(set) var members: [Member]

  /// An object without members.
  public init() { members = [] }

  /// The caller vouches that the names are unique.
  init(unique members: [Member]) { self.members = members }

  public init(dictionaryLiteral elements: (String, JSON)...) {
    members = []
    for (name, value) in elements { self[name] = value }
  }

  /// The value of that name; setting nil removes the member.
  public subscript(_ name: String) -> JSON? {
    get { members.first { $0.name == name }?.value }
    set {
      let index = members.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let value?): members[index].value = value
      case (let index?, nil): members.remove(at: index)
      case (nil, let value?): members.append(Member(name: name, value: value))
      case (nil, nil): break
      }
    }
  }

  public var isEmpty: Bool { members.isEmpty }
}

extension JSONObject: Equatable {
  /// Members are a set: their order does not count.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    guard a.members.count == b.members.count else { return false }
    if a.members == b.members { return true }
    let other = Dictionary(b.members.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    return a.members.allSatisfy { other[$0.name] == $0.value }
  }
}

// Not by nil: `condition ? json : nil` would be JSON's null where no value was meant.
extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = JSONObject()
    for (name, value) in elements { object[name] = value }
    self = .object(object)
  }
}

extension JSON {
  /// An object of those members that have a value: the API sends no field as null that may be left out.
  public static func compact(_ members: KeyValuePairs<String, JSON?>) -> JSON {
    .object(
      JSONObject(
        unique: members.compactMap { name, value in value.map { JSONObject.Member(name: name, value: $0) } }))
  }
}

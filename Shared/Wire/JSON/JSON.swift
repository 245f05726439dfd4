/// A JSON value (RFC 8259) that keeps the order of members and tells whole numbers from others.
///
/// The suite's own, because what the contract promises needs a value to look at: a pointer for each fault, unknown
/// fields refused, the canonical form of RFC 8785, a depth limit (`docs/decisions/0002-json.md`).
public enum JSON: Sendable {
  case null
  case bool(Bool)
  /// A number without fraction or exponent that fits 64 bits.
  case int(Int64)
  /// Any other number that a double gives back as it was written; always finite.
  case double(Double)
  /// A number as it was written, which a double would not give back so: `1.50`, `18446744073709551615`, `-0`. Within a double's
  /// range, except in what devices say.
  case decimal(String)
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
  /// The number, whole or not, if this is one that a double has.
  public var double: Double? {
    switch self {
    case .int(let number): Double(number)
    case .double(let number): number
    case .decimal(let text): Double(text).flatMap { $0.isFinite ? $0 : nil }
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
    case .int, .double, .decimal: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSON: Equatable {
  /// Text is the same if its code points are.
  public static func == (a: JSON, b: JSON) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.double(let a), .double(let b)): a == b
    case (.decimal(let a), .decimal(let b)): a == b
    case (.string(let a), .string(let b)): a.isExactly(b)
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a == b
    case (.null, _), (.bool, _), (.int, _), (.double, _), (.decimal, _), (.string, _), (.array, _),
      (.object, _):
      false
    }
  }
}

/// The members of a JSON object in the order in which they came; names are unique, by code points.
public struct JSONObject: Sendable, ExpressibleByDictionaryLiteral {
  /// One name and its value.
  public struct Member: Sendable, Equatable {
    public let name: String
    public var value: JSON

    public static func == (a: Member, b: Member) -> Bool { a.name.isExactly(b.name) && a.value == b.value }
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

  /// - Parameter members: whose names are unique.
  public init(_ members: [Named<JSON>]) {
    self.members = members.map { Member(name: $0.name, value: $0.value) }
  }

  /// The value of that name; setting nil removes the member.
  public subscript(_ name: String) -> JSON? {
    get { members.first { $0.name.isExactly(name) }?.value }
    set {
      let index = members.firstIndex { $0.name.isExactly(name) }
      switch (index, newValue) {
      case (let index?, let value?): members[index].value = value
      case (let index?, nil): members.remove(at: index)
      case (nil, let value?): members.append(Member(name: name, value: value))
      case (nil, nil): break
      }
    }
  }

  public var isEmpty: Bool { members.isEmpty }

  /// The same names with other values.
  public func mapValues(_ transform: (JSON) -> JSON) -> JSONObject {
    JSONObject(unique: members.map { Member(name: $0.name, value: transform($0.value)) })
  }

  /// Changes many members in one pass: one by one, an object of thousands would cost their square.
  /// - Parameter value: what a member becomes, of what it is and what the changes say; nil removes it.
  public mutating func apply(_ changes: JSONObject, _ value: (_ old: JSON?, _ change: JSON) -> JSON?) {
    var places: [ExactText: Int] = [:]
    for (place, member) in members.enumerated() { places[ExactText(member.name)] = place }
    var changed: [(name: String, value: JSON?)] = members.map { ($0.name, $0.value) }
    for change in changes.members {
      if let place = places[ExactText(change.name)] {
        changed[place].value = value(changed[place].value, change.value)
      } else {
        changed.append((change.name, value(nil, change.value)))
      }
    }
    members = changed.compactMap { name, value in value.map { Member(name: name, value: $0) } }
  }
}

extension JSONObject: Equatable {
  /// Members are a set: their order does not count.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    guard a.members.count == b.members.count else { return false }
    if a.members == b.members { return true }
    let other = Dictionary(
      b.members.map { (ExactText($0.name), $0.value) }, uniquingKeysWith: { first, _ in first })
    return a.members.allSatisfy { other[ExactText($0.name)] == $0.value }
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

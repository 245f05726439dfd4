import Wire

/// One subschema, compiled.
struct Node: Sendable {
  /// Where it stands.
  var place: Int
  /// The schema resource it belongs to (`$id`): what `$dynamicRef` looks through.
  var resource: Int
  /// `false`: nothing fits.
  var isNever = false
  /// None: everything fits.
  var rules: [Rule] = []
  /// Has to know which elements or members other keywords have looked at.
  var needsMarks = false
}

/// One keyword, or several that are only understood together.
struct Rule: Sendable {
  let keyword: String
  var test: Test

  /// Has to know what the others have looked at, and comes after them.
  var needsMarks: Bool {
    switch test {
    case .unevaluatedMembers, .unevaluatedElements: true
    default: false
    }
  }
}

enum Test: Sendable {
  case reference(Int)
  /// The node that the reference names, and what takes its place, by the resource that has been entered.
  case dynamicReference(Int, [Int: Int])
  case types(JSONTypes)
  case constant(JSONKey)
  case values(Set<JSONKey>, shown: String)
  case bound(Bound, JSON)
  case multipleOf(ExactNumber, shown: String)
  case length(Length, Int)
  case pattern(Pattern)
  case unique
  case required([ExactText])
  case dependentRequired([(ExactText, [ExactText])])
  case members(MemberRule)
  case names(Int)
  case dependentSchemas([(ExactText, Int)])
  case elements(prefix: [Int], rest: Int?)
  case contains(Int, minimum: Int, maximum: Int?)
  case all([Int])
  case any([Int])
  case exactlyOne([Int])
  case not(Int)
  case condition(Int, then: Int?, otherwise: Int?)
  case unevaluatedMembers(Int)
  case unevaluatedElements(Int)
}

enum Bound: String, Sendable, CaseIterable {
  case minimum, maximum, exclusiveMinimum, exclusiveMaximum
}

/// What is counted, and which way the bound goes.
enum Length: String, Sendable, CaseIterable {
  case minLength, maxLength, minItems, maxItems, minProperties, maxProperties

  var isMinimum: Bool { [.minLength, .minItems, .minProperties].contains(self) }
  var unit: String {
    switch self {
    case .minLength, .maxLength: "character"
    case .minItems, .maxItems: "element"
    case .minProperties, .maxProperties: "member"
    }
  }
}

/// `properties`, `patternProperties` and `additionalProperties` of one subschema.
struct MemberRule: Sendable {
  var named: [ExactText: Int] = [:]
  var patterns: [(Pattern, Int)] = []
  var additional: Int?
}

/// The words of `type`.
struct JSONTypes: OptionSet, Sendable {
  let rawValue: UInt8
  static let words: [(String, JSONTypes, String)] = [
    ("null", JSONTypes(rawValue: 1), "null"), ("boolean", JSONTypes(rawValue: 2), "true or false"),
    ("object", JSONTypes(rawValue: 4), "an object"), ("array", JSONTypes(rawValue: 8), "an array"),
    ("number", JSONTypes(rawValue: 16), "a number"), ("string", JSONTypes(rawValue: 32), "a string"),
    ("integer", JSONTypes(rawValue: 64), "a whole number"),
  ]

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init?(word: String) {
    guard let known = Self.words.first(where: { $0.0.isExactly(word) }) else { return nil }
    self = known.1
  }

  func holds(_ value: JSON) -> Bool {
    switch value {
    case .null: rawValue & 1 != 0
    case .bool: rawValue & 2 != 0
    case .object: rawValue & 4 != 0
    case .array: rawValue & 8 != 0
    case .int: rawValue & (16 | 64) != 0
    case .double, .decimal: rawValue & 16 != 0 || rawValue & 64 != 0 && Numbers.isWhole(value)
    case .string: rawValue & 32 != 0
    }
  }

  /// In words: "a string or null".
  var words: String { Self.words.filter { contains($0.1) }.map(\.2).joined(separator: " or ") }
}

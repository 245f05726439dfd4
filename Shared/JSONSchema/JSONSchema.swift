import Wire

/// A JSON Schema of draft 2020-12, compiled once.
///
/// It is taken to come from somebody who means ill: nothing is ever fetched, patterns match in linear time, and both
/// compiling and validating have bounds (`JSONSchemaLimits`). `format` and `content…` are annotations and assert nothing.
/// Unknown keywords are annotations too (`docs/decisions/0017-json-schema.md`).
public struct JSONSchema: Sendable {
  let nodes: [Node]
  let places: Places
  let limits: JSONSchemaLimits
  /// What its patterns take of `limits`.
  let patternCount: Int
  let patternSize: Int

  /// Compiles a schema: an object, true or false.
  /// - Throws: what is wrong with the schema, each fault with its JSON Pointer into it.
  public init(_ json: JSON, limits: JSONSchemaLimits = JSONSchemaLimits()) throws(JSONFaults) {
    var compiler = Compiler(limits: limits)
    try compiler.compile(json)
    (nodes, places, self.limits) = (compiler.nodes, compiler.places, limits)
    (patternCount, patternSize) = (compiler.patterns.count, compiler.patternSize)
  }

  /// What is wrong with a value, at most `limits.faults`; nothing if it fits the schema.
  ///
  /// The value comes from `JSON(parsing:)`, which bounds its depth.
  public func validate(_ value: JSON) -> [JSONSchemaFault] {
    var evaluation = Evaluation(of: self)
    return evaluation.run(value)
  }
}

/// One thing that is wrong with a value.
public struct JSONSchemaFault: Error, Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    /// The value does not fit the schema.
    case violation
    /// Looking took more steps than `JSONSchemaLimits.steps`: whether it fits is not known.
    case workExceeded
    /// Subschemas refer to each other deeper than `JSONSchemaLimits.evaluationDepth`: whether it fits is not known.
    case tooDeep
  }

  public let kind: Kind
  /// JSON Pointer into the value; of a member that is missing, the pointer that it would have.
  public let pointer: String
  /// What to do, in words that go on after the pointer: "must be at least 3".
  public let message: String
  /// JSON Pointer of the keyword in the schema, empty where none is to blame.
  public let keywordLocation: String
}

/// What one schema, and one validation, may cost.
public struct JSONSchemaLimits: Sendable {
  /// The schema as JSON text, in bytes.
  public var schemaBytes = 256 * 1024
  /// Levels of arrays and objects in the schema.
  public var schemaDepth = 64
  public var subschemas = 10_000
  /// `$ref`s and `$dynamicRef`s.
  public var references = 2_000
  public var patterns = 500
  /// Instructions of all patterns' programs together.
  public var patternSize = 16_000
  /// Bytes that one pattern's program and automaton may take.
  public var patternMemory = 1 << 20
  /// Subschemas that are being looked at within each other, references included.
  public var evaluationDepth = 256
  /// Steps of one validation: a keyword looked at, a member named, some tens of bytes compared. Some 0.4 µs each.
  public var steps = 500_000
  /// Faults that are told of one value or schema.
  public var faults = 50

  public init() {}
}

import JSONSchema
import Testing
import Wire

/// Work is counted in steps, not in seconds: a schema that would take hours ends with the named fault.
@Suite("JSON Schema: bounds")
struct BoundTests {
  private func kind(_ schema: JSON, _ value: JSON) throws -> JSONSchemaFault.Kind? {
    try JSONSchema(schema).validate(value).first?.kind
  }

  @Test("references that fan out end", arguments: ["allOf", "anyOf", "oneOf"])
  func fan(_ keyword: String) throws {
    // 2^40 looks at the last one.
    let definitions = (0..<40).map { level -> (String, JSON) in
      let next: JSON = ["$ref": .string("#/$defs/a\(level + 1)")]
      return ("a\(level)", ["allOf": [next, next]])
    }
    let last: (String, JSON) = ("a40", ["type": "null"])
    let schema: JSON = [keyword: [["$ref": "#/$defs/a0"]], "$defs": JSON.object(definitions + [last])]
    #expect(try kind(schema, .null) == .workExceeded)
    let never: JSON = ["not": ["$ref": "#/$defs/a0"], "$defs": JSON.object(definitions + [last])]
    #expect(try kind(never, .null) == .workExceeded)
  }

  @Test("alternatives within alternatives end")
  func alternatives() throws {
    let definitions = (0..<30).map { level -> (String, JSON) in
      let next: JSON = ["$ref": .string("#/$defs/a\(level + 1)")]
      return ("a\(level)", ["anyOf": [next, next]])
    }
    let schema: JSON = ["$ref": "#/$defs/a0", "$defs": JSON.object(definitions + [("a30", false)])]
    #expect(try kind(schema, 1) == .workExceeded)
  }

  @Test("references that come back through $dynamicRef end")
  func dynamicCycle() throws {
    #expect(try kind(["$dynamicAnchor": "a", "$dynamicRef": "#a"], 1) == .tooDeep)
    #expect(try kind(["$dynamicAnchor": "a", "not": ["not": ["$dynamicRef": "#a"]]], 1) == .tooDeep)
  }

  @Test("a value as deep as the parser takes is looked at")
  func deep() throws {
    let schema = try JSONSchema(
      JSON(
        parsing:
          ##"{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"items":{"$ref":"#/$defs/a"}}],"type":"array"}}}"##))
    let value = try JSON(parsing: String(repeating: "[", count: 64) + String(repeating: "]", count: 64))
    #expect(schema.validate(value).isEmpty)
  }

  @Test("10,000 elements are told apart by their hashes")
  func unique() throws {
    let elements = (0..<10_000).map { JSON.object([("n", .int($0)), ("text", .string("element \($0)"))]) }
    #expect(try kind(["uniqueItems": true], .array(elements)) == nil)
    #expect(try kind(["uniqueItems": true], .array(elements + [elements[77]])) == .violation)
    // Numbers that are one value however they are written; all of them would fall into one place of a weak hash.
    let numbers = (0..<10_000).map { JSON.double(Double($0) * 4_294_967_296) }
    #expect(try kind(["uniqueItems": true], .array(numbers)) == nil)
  }

  @Test("an enum of 10,000 values costs one look for each element")
  func enumeration() throws {
    let schema: JSON = ["items": ["enum": .array((0..<10_000).map { .string("value \($0)") })]]
    let values = (0..<10_000).map { JSON.string("value \(9_999 - $0)") }
    #expect(try kind(schema, .array(values)) == nil)
  }

  @Test("patterns cost what they may take at worst")
  func patterns() throws {
    let text = JSON.string(String(repeating: "a", count: 50_000))
    #expect(try kind(["pattern": "^(a+)+$"], text) == nil)
    #expect(try kind(["pattern": "^(a|aa)+b$"], text) == .violation)
    #expect(try kind(["pattern": "(a|b|c|d){1000}$"], text) == .workExceeded)
  }

  @Test("marks for unevaluated… are paid for")
  func marks() throws {
    let wide = JSON.object((0..<5_000).map { ("m\($0)", .int(0)) })
    let many = JSON.array(Array(repeating: ["properties": ["m1": true]], count: 4_000))
    #expect(try kind(["allOf": many, "unevaluatedProperties": true], wide) == .workExceeded)
  }

  @Test("faults are bounded in number and size")
  func faultsAreBounded() throws {
    let numbers = JSON.array(Array(repeating: 1, count: 5_000))
    #expect(try JSONSchema(["items": false]).validate(numbers).count == JSONSchemaLimits().faults)
    let long = String(repeating: "n", count: 200_000)
    let faults = try JSONSchema(["additionalProperties": ["items": false]]).validate(
      .object([(long, numbers)]))
    #expect(!faults.isEmpty && faults.reduce(0) { $0 + $1.pointer.utf8.count } < 1_000_000)
  }

  @Test("a schema has bounds of size, depth, subschemas, references, patterns")
  func schemas() throws {
    func refusal(_ schema: JSON) -> String? {
      do throws(JSONFaults) {
        _ = try JSONSchema(schema)
        return nil
      } catch { return error.faults.first.map { "\($0.pointer) \($0.message)" } }
    }
    let large: JSON = ["description": .string(String(repeating: "x", count: 900_000))]
    #expect(refusal(large) == " is larger than 262144 bytes")
    var deep: JSON = true
    for _ in 0..<1_000 { deep = ["not": deep] }
    #expect(refusal(deep) == " is nested deeper than 64 levels")
    let subschemas = JSON.array(Array(repeating: true, count: 20_000))
    #expect(refusal(["anyOf": subschemas])?.contains("subschema too many") == true)
    let references = JSON.array(Array(repeating: ["$ref": "#/$defs/a"], count: 3_000))
    #expect(refusal(["anyOf": references, "$defs": ["a": true]])?.contains("reference too many") == true)
    let patterns = JSON.object((0..<600).map { ("^\($0)", true) })
    #expect(refusal(["patternProperties": patterns])?.contains("pattern too many") == true)
    let heavy = JSON.object((0..<100).map { (#"^\p{L}{3}"# + "\($0)", true) })
    #expect(refusal(["patternProperties": heavy])?.contains("too large together") == true)
  }

  @Test("long names of members that hold many subschemas are not written out for each of them")
  func longNames() throws {
    let many = JSON.array(Array(repeating: ["type": "null"], count: 5_000))
    let schema = JSON.object([("$defs", .object([(String(repeating: "n", count: 150_000), ["anyOf": many])]))]
    )
    #expect(try kind(schema, 1) == nil)
  }
}

extension JSON {
  /// An object of members whose names are unique.
  fileprivate static func object(_ members: [(String, JSON)]) -> JSON {
    let text = members.map { "\(JSON.string($0.0).text):\($0.1.text)" }.joined(separator: ",")
    return (try? JSON(parsing: "{\(text)}")) ?? .null
  }
}

import JSONSchema
import Testing
import Wire

/// A schema, a value, and what is told of it; nothing if it fits.
struct Case: Sendable, CustomTestStringConvertible {
  let schema: String
  let value: String
  let faults: [String]

  init(_ schema: String, _ value: String, _ faults: String...) {
    (self.schema, self.value, self.faults) = (schema, value, faults)
  }

  var testDescription: String { "\(schema) \(value)" }

  func check() throws { #expect(try told(schema, value) == faults) }
}

@Suite("JSON Schema: keywords")
struct KeywordTests {
  @Test(
    "any value",
    arguments: [
      Case("true", "1"), Case("{}", "[null]"), Case("false", "1", "is not allowed here"),
      Case(#"{"type":"string"}"#, #""x""#), Case(#"{"type":"string"}"#, "3", "must be a string, is a number"),
      Case(#"{"type":["string","null"]}"#, "null"),
      Case(#"{"type":["string","null"]}"#, "[]", "must be null or a string, is an array"),
      Case(#"{"type":"integer"}"#, "1.0"), Case(#"{"type":"integer"}"#, "1e3"),
      Case(#"{"type":"integer"}"#, "1.5", "must be a whole number, is a number"),
      Case(#"{"type":"number"}"#, "1"),
      Case(#"{"type":"boolean"}"#, "0", "must be true or false, is a number"),
      Case(#"{"const":{"a":[1]}}"#, #"{"a":[1.0]}"#), Case(#"{"const":1}"#, "true", "must be 1"),
      Case(#"{"const":"é"}"#, #""e\u0301""#, #"must be "é""#),
      Case(#"{"enum":[1,"a",null]}"#, "1.0"),
      Case(#"{"enum":[1,"a",null]}"#, #""b""#, #"must be one of 1, "a", null"#),
      Case(#"{"enum":[0]}"#, "false", "must be one of 0"), Case(#"{"enum":[]}"#, "0", "is never allowed"),
      Case(#"{"enum":[{"a":1,"b":2}]}"#, #"{"b":2,"a":1}"#),
      Case(
        #"{"type":"string","format":"email","contentEncoding":"base64","future":1}"#, #""no @ no base64""#),
    ])
  func values(_ example: Case) throws { try example.check() }

  @Test(
    "numbers, by their exact value",
    arguments: [
      Case(#"{"minimum":3}"#, "3"), Case(#"{"minimum":3}"#, "2.9", "must be at least 3"),
      Case(#"{"maximum":3}"#, "3.0"), Case(#"{"maximum":3}"#, "4", "must be at most 3"),
      Case(#"{"exclusiveMinimum":3}"#, "3", "must be more than 3"), Case(#"{"exclusiveMinimum":3}"#, "3.01"),
      Case(#"{"exclusiveMaximum":3}"#, "3", "must be less than 3"), Case(#"{"exclusiveMaximum":3}"#, "2"),
      Case(#"{"maximum":9007199254740992.0}"#, "9007199254740993", "must be at most 9007199254740992.0"),
      Case(#"{"minimum":9007199254740993}"#, "9007199254740992.0", "must be at least 9007199254740993"),
      Case(#"{"const":9007199254740993}"#, "9007199254740993.0"),
      Case(#"{"enum":[9007199254740993.0]}"#, "9007199254740993"),
      Case(#"{"maximum":1e300}"#, "9223372036854775807"),
      Case(#"{"minimum":-1e300}"#, "-9223372036854775808"),
      Case(#"{"minimum":-2.5}"#, "-3", "must be at least -2.5"), Case(#"{"minimum":-2.5}"#, "-2"),
      Case(#"{"minimum":1}"#, #""text""#), Case(#"{"maximum":18446744073709551615}"#, "18446744073709551615"),
      Case(
        #"{"maximum":18446744073709551615}"#, "18446744073709551616", "must be at most 18446744073709551615"),
      Case(#"{"exclusiveMinimum":0.1}"#, "0.10000000000000000001"), Case(#"{"minimum":0.1}"#, "0.100"),
      Case(#"{"exclusiveMinimum":0}"#, "1e-400"), Case(#"{"minimum":-0.0}"#, "0"),
      Case(#"{"const":0}"#, "-0"),
      Case(#"{"type":"integer"}"#, "123456789012345678901234567890"),
      Case(#"{"type":"integer"}"#, "1.00000000000000000000001", "must be a whole number, is a number"),
      Case(#"{"enum":[1.50]}"#, "15e-1"), Case(#"{"const":1e2}"#, "100.0"),
      Case(
        #"{"const":12345678901234567890123}"#, "12345678901234567890124", "must be 12345678901234567890123"),
      Case(#"{"multipleOf":3}"#, "111111111111111111111111111111"),
      Case(#"{"multipleOf":3}"#, "111111111111111111111111111112", "must be a multiple of 3"),
      Case(#"{"multipleOf":0.01}"#, "19.99"), Case(#"{"multipleOf":0.01}"#, "-19.99"),
      Case(#"{"multipleOf":0.01}"#, "19.995", "must be a multiple of 0.01"),
      Case(#"{"multipleOf":0.1}"#, "0.3"),
      Case(#"{"multipleOf":7}"#, "0"), Case(#"{"multipleOf":7}"#, "49e2"),
      Case(#"{"multipleOf":0.0001}"#, "0.0075"), Case(#"{"multipleOf":1e-8}"#, "12391239123"),
      Case(#"{"multipleOf":0.5}"#, "1e308"),
      Case(#"{"multipleOf":0.123456789}"#, "1e308", "must be a multiple of 0.123456789"),
      Case(#"{"multipleOf":1e300}"#, "5", "must be a multiple of 1e300"),
      Case(#"{"multipleOf":1.5}"#, "4.5"),
      Case(#"{"multipleOf":2}"#, "9223372036854775807", "must be a multiple of 2"),
    ])
  func numbers(_ example: Case) throws { try example.check() }

  @Test(
    "text",
    arguments: [
      Case(#"{"minLength":2}"#, #""a""#, "must have at least 2 characters, has 1"),
      Case(#"{"maxLength":1}"#, #""é""#), Case(#"{"maxLength":1}"#, #""😀""#),
      Case(#"{"maxLength":1}"#, #""e\u0301""#, "must have at most 1 character, has 2"),
      Case(#"{"minLength":2.0}"#, #""ab""#), Case(#"{"maxLength":1}"#, "[1,2]"),
      Case(#"{"pattern":"^a+$"}"#, #""aaa""#),
      Case(#"{"pattern":"^a+$"}"#, #""ab""#, "must match the pattern ^a+$"),
      Case(#"{"pattern":"b"}"#, #""abc""#), Case(#"{"pattern":"^a+$"}"#, "1"),
    ])
  func text(_ example: Case) throws { try example.check() }

  @Test(
    "arrays",
    arguments: [
      Case(#"{"minItems":1}"#, "[]", "must have at least 1 element, has 0"),
      Case(#"{"maxItems":1}"#, "[1,2]", "must have at most 1 element, has 2"),
      Case(#"{"maxItems":1}"#, #""ab""#),
      Case(
        #"{"items":{"type":"string"}}"#, #"["a",1,2]"#, "/1 must be a string, is a number",
        "/2 must be a string, is a number"),
      Case(#"{"prefixItems":[{"type":"string"}]}"#, #"["a",1]"#),
      Case(
        #"{"prefixItems":[{"type":"string"}],"items":{"type":"null"}}"#, #"[1,null,2]"#,
        "/0 must be a string, is a number", "/2 must be null, is a number"),
      Case(#"{"prefixItems":[true],"items":false}"#, "[1,2]", "/1 is one too many: at most 1 can be here"),
      Case(#"{"uniqueItems":true}"#, "[1,true,0,false]"),
      Case(#"{"uniqueItems":true}"#, #"[{"a":1},2,{"a":1.0}]"#, "/2 is the same as element 0: must differ"),
      Case(#"{"uniqueItems":false}"#, "[1,1]"),
      Case(#"{"uniqueItems":true}"#, #"["é","e\u0301"]"#),
      Case(#"{"contains":{"minimum":5}}"#, "[1,6]"),
      Case(#"{"contains":{"minimum":5}}"#, "[1,2]", "must contain an element that fit, has 0"),
      Case(
        #"{"contains":{"minimum":5},"minContains":2}"#, "[1,6]", "must contain 2 elements that fit, has 1"),
      Case(#"{"contains":{"minimum":5},"minContains":0}"#, "[]"),
      Case(
        #"{"contains":{"minimum":5},"maxContains":1}"#, "[6,7]",
        "must contain at most 1 elements that fit, has 2"),
      Case(#"{"minContains":2}"#, "[]"),
      Case(#"{"prefixItems":[true],"unevaluatedItems":false}"#, "[1,2]", "/1 is not allowed here"),
      Case(
        #"{"contains":{"type":"string"},"unevaluatedItems":{"type":"null"}}"#, #"["a",null,1]"#,
        "/2 must be null, is a number"),
      Case(#"{"allOf":[{"prefixItems":[true,true]}],"unevaluatedItems":false}"#, "[1,2]"),
    ])
  func arrays(_ example: Case) throws { try example.check() }

  @Test(
    "objects",
    arguments: [
      Case(#"{"required":["a","b"]}"#, #"{"b":1}"#, "/a is missing"), Case(#"{"required":["a"]}"#, "[]"),
      Case(#"{"required":["é"]}"#, #"{"e\u0301":1}"#, "/é is missing"),
      Case(#"{"minProperties":1}"#, "{}", "must have at least 1 member, has 0"),
      Case(#"{"maxProperties":1}"#, #"{"a":1,"b":2}"#, "must have at most 1 member, has 2"),
      Case(#"{"properties":{"a":{"type":"null"}}}"#, #"{"a":1,"b":1}"#, "/a must be null, is a number"),
      Case(#"{"properties":{"a/b":{"type":"null"}}}"#, #"{"a/b":1}"#, "/a~1b must be null, is a number"),
      Case(#"{"properties":{"é":false}}"#, #"{"e\u0301":1}"#),
      Case(
        #"{"patternProperties":{"^x":{"type":"null"}}}"#, #"{"x1":null,"x2":1,"y":1}"#,
        "/x2 must be null, is a number"),
      Case(
        #"{"properties":{"a":true},"patternProperties":{"^x":true},"additionalProperties":false}"#,
        #"{"a":1,"x":1,"z":1}"#, "/z is not a known member"),
      Case(#"{"additionalProperties":{"type":"null"}}"#, #"{"z":1}"#, "/z must be null, is a number"),
      Case(
        #"{"propertyNames":{"maxLength":2}}"#, #"{"abc":1,"ab":1}"#,
        "/abc has a name that does not fit: must have at most 2 characters, has 3"),
      Case(#"{"dependentRequired":{"a":["b"]}}"#, #"{"a":1}"#, "/b is missing: a needs it"),
      Case(#"{"dependentRequired":{"a":["b"]}}"#, #"{"c":1}"#),
      Case(
        #"{"dependentSchemas":{"a":{"maxProperties":1}}}"#, #"{"a":1,"b":2}"#,
        "must have at most 1 member, has 2"),
      Case(
        #"{"properties":{"a":true},"unevaluatedProperties":false}"#, #"{"a":1,"b":2}"#,
        "/b is not a known member"),
      Case(
        #"{"anyOf":[{"properties":{"a":true},"required":["a"]},{"properties":{"b":true},"required":["b"]}],"unevaluatedProperties":false}"#,
        #"{"a":1,"b":2}"#),
      Case(#"{"if":{"required":["a"],"properties":{"a":true}},"unevaluatedProperties":false}"#, #"{"a":1}"#),
      Case(
        #"{"not":{"properties":{"a":true},"minProperties":9},"unevaluatedProperties":false}"#, #"{"a":1}"#,
        "/a is not a known member"),
      Case(
        ##"{"$ref":"#/$defs/x","unevaluatedProperties":false,"$defs":{"x":{"properties":{"a":true}}}}"##,
        #"{"a":1}"#),
    ])
  func objects(_ example: Case) throws { try example.check() }

  @Test(
    "combinations",
    arguments: [
      Case(#"{"allOf":[{"minimum":3},{"maximum":5}]}"#, "4"),
      Case(
        #"{"allOf":[{"minimum":3},{"multipleOf":2}]}"#, "1", "must be at least 3", "must be a multiple of 2"),
      Case(#"{"anyOf":[{"type":"string"},{"minimum":3}]}"#, "3"),
      Case(
        #"{"anyOf":[{"type":"string"},{"minimum":3}]}"#, "1",
        "fits no alternative: must be a string, is a number; or must be at least 3"),
      Case(#"{"oneOf":[{"minimum":1},{"minimum":3}]}"#, "2"),
      Case(#"{"oneOf":[{"minimum":1},{"minimum":3}]}"#, "4", "fits alternatives 0 and 1: must fit one alone"),
      Case(#"{"oneOf":[{"minimum":5},{"required":["a"]}]}"#, "4"),
      Case(
        #"{"oneOf":[{"type":"null"},{"properties":{"a":{"minimum":2}}}]}"#, #"{"a":1}"#,
        "fits no alternative: must be null, is an object; or /a must be at least 2"),
      Case(#"{"not":{"type":"null"}}"#, "null", "is what the schema excludes"),
      Case(#"{"not":{"type":"null"}}"#, "1"),
      Case(
        #"{"if":{"minimum":10},"then":{"multipleOf":5},"else":{"maximum":3}}"#, "12",
        "must be a multiple of 5"),
      Case(#"{"if":{"minimum":10},"then":{"multipleOf":5},"else":{"maximum":3}}"#, "4", "must be at most 3"),
      Case(#"{"then":false,"else":false}"#, "1"),
    ])
  func combinations(_ example: Case) throws { try example.check() }

  @Test("a fault says which keyword of the schema it is of")
  func locations() throws {
    let schema = try JSONSchema(
      JSON(
        parsing:
          ##"{"properties":{"a/b":{"$ref":"#/$defs/x"}},"required":["c"],"$defs":{"x":{"minimum":3}}}"##))
    let faults = schema.validate(["a/b": 1])
    #expect(faults.map(\.pointer) == ["/c", "/a~1b"])
    #expect(faults.map(\.keywordLocation) == ["/required", "/$defs/x/minimum"])
    #expect(faults.allSatisfy { $0.kind == .violation })
  }
}

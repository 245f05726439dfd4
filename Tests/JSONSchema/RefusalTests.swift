import JSONSchema
import Testing
import Wire

@Suite("JSON Schema: what is no schema")
struct RefusalTests {
  @Test(
    "a keyword of the wrong form is a fault of the schema, with its pointer",
    arguments: [
      ("5", " must be a JSON Schema: an object, true or false; is a number"),
      (#"{"type":"strnig"}"#, "/type must be one of null, boolean, object, array, number, string, integer"),
      (#"{"type":[]}"#, "/type must be one of"), (#"{"type":["string","string"]}"#, "/type/1 stands twice"),
      (#"{"type":["string",1]}"#, "/type/1 must be one of"),
      (#"{"enum":1}"#, "/enum must be an array, is a number"),
      (#"{"minimum":"3"}"#, "/minimum must be a number, is a string"),
      (#"{"multipleOf":0.0}"#, "/multipleOf must be more than 0"),
      (#"{"multipleOf":0.1234567890123456789}"#, "/multipleOf must have at most 18 digits"),
      (#"{"minLength":-1}"#, "/minLength must be a whole number that is not negative"),
      (#"{"maxItems":1.5}"#, "/maxItems must be a whole number"),
      (#"{"uniqueItems":1}"#, "/uniqueItems must be true or false"),
      (#"{"pattern":"("}"#, "/pattern is not a pattern"),
      (#"{"patternProperties":{"[":true}}"#, "/patternProperties/[ has a class"),
      (#"{"required":"a"}"#, "/required must be an array"),
      (#"{"required":["a","a"]}"#, "/required/1 stands twice"),
      (#"{"required":[1]}"#, "/required/0 must be a string"),
      (#"{"dependentRequired":{"a":"b"}}"#, "/dependentRequired/a must be an array"),
      (#"{"properties":[]}"#, "/properties must be an object"),
      (#"{"properties":{"a":1}}"#, "/properties/a must be a JSON Schema"),
      (#"{"items":[true]}"#, "/items must be one schema: a list of schemas by position is prefixItems"),
      (#"{"allOf":[]}"#, "/allOf must have at least one schema"),
      (#"{"anyOf":[1]}"#, "/anyOf/0 must be a JSON Schema"),
      (#"{"oneOf":{}}"#, "/oneOf must be an array"), (#"{"not":null}"#, "/not must be a JSON Schema"),
      (#"{"then":1}"#, "/then must be a JSON Schema"),
      (#"{"$defs":{"a":{"b":1,"minimum":null}}}"#, "/$defs/a/minimum must be a number"),
      (#"{"title":1}"#, "/title must be a string"),
      (#"{"readOnly":"yes"}"#, "/readOnly must be true or false"),
      (#"{"examples":1}"#, "/examples must be an array"),
      (#"{"$vocabulary":{"a":1}}"#, "/$vocabulary/a must be true or false"),
      (#"{"contentSchema":1}"#, "/contentSchema must be a JSON Schema"),
      (#"{"maxContains":"1"}"#, "/maxContains must be a number"),
      (#"{"unevaluatedItems":1}"#, "/unevaluatedItems must be"),
      (#"{"propertyNames":[]}"#, "/propertyNames must be"),
    ])
  func keyword(_ schema: String, _ expected: String) throws {
    let refusals = try refusals(schema)
    #expect(refusals.count == 1 && refusals[0].hasPrefix(expected), "\(refusals)")
  }

  @Test("several faults are told together, and not without end")
  func several() throws {
    #expect(try refusals(#"{"type":"x","minimum":"y","properties":{"a":{"pattern":1}}}"#).count == 3)
    let many = "{\"enum\":[],\"allOf\":[" + Array(repeating: "1", count: 500).joined(separator: ",") + "]}"
    #expect(try refusals(many).count == JSONSchemaLimits().faults)
  }

  /// What the meta-schema refuses is refused here, and what it takes is taken, but for what no meta-schema can say.
  @Test(
    "schemas are judged as by the meta-schema",
    arguments: [
      #"{"type":["string"]}"#, #"{"type":"object","properties":{"a":{"type":5}}}"#, #"{"minItems":2.0}"#,
      #"{"minItems":"2"}"#,
      #"{"enum":[]}"#, #"{"enum":[1,1]}"#, #"{"required":[]}"#, #"{"anyOf":[]}"#, #"{"prefixItems":[]}"#,
      #"{"default":5}"#,
      #"{"deprecated":1}"#, #"{"contentMediaType":1}"#, #"{"$comment":1}"#, #"{"format":1}"#,
      #"{"$anchor":"a b"}"#, #"{"$anchor":"_a.b-c"}"#,
      #"{"definitions":{"a":1}}"#, #"{"unknown":{"type":"strnig"}}"#, #"{"multipleOf":-1}"#,
      #"{"exclusiveMaximum":true}"#,
      #"{"dependentSchemas":{"a":[]}}"#, #"{"additionalProperties":"no"}"#, #"{"if":true,"then":5}"#, "true",
      "[]", "null",
    ])
  func agrees(_ schema: String) throws {
    let meta = try told(#"{"$ref":"https://json-schema.org/draft/2020-12/schema"}"#, schema)
    #expect(try refusals(schema).isEmpty == meta.isEmpty, "\(meta)")
  }
}

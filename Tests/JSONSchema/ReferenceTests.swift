import JSONSchema
import Testing
import Wire

@Suite("JSON Schema: references")
struct ReferenceTests {
  @Test(
    "a reference means what stands under its name",
    arguments: [
      Case(##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"null"}}}"##, "1", "must be null, is a number"),
      Case(##"{"$ref":"#/$defs/a~1b%25","$defs":{"a/b%":{"type":"null"}}}"##, "null"),
      Case(
        ##"{"$ref":"#there","$defs":{"a":{"$anchor":"there","type":"null"}}}"##, "1",
        "must be null, is a number"),
      Case(##"{"$ref":"#/custom/x/0","custom":{"x":[{"type":"null"}]}}"##, "1", "must be null, is a number"),
      Case(##"{"$ref":"#/definitions/a","definitions":{"a":{"type":"null"}}}"##, "null"),
      Case(
        #"{"$id":"https://a.example/root/","properties":{"x":{"$ref":"other/../item.json"}},"$defs":{"i":{"$id":"item.json","type":"null"}}}"#,
        #"{"x":1}"#, "/x must be null, is a number"),
      Case(
        #"{"$id":"urn:example:root","$ref":"urn:example:item#x","$defs":{"i":{"$id":"urn:example:item","$defs":{"y":{"$anchor":"x","type":"null"}}}}}"#,
        "1", "must be null, is a number"),
      Case(#"{"$ref":"item.json","$defs":{"i":{"$id":"item.json","type":"null"}}}"#, "null"),
      Case(
        ##"{"properties":{"next":{"$ref":"#"},"n":{"type":"integer"}}}"##, #"{"next":{"next":{"n":"x"}}}"#,
        "/next/next/n must be a whole number, is a string"),
      Case(
        #"{"enum":[{"$id":"a.json","$ref":"https://elsewhere.example/"}]}"#,
        #"{"$id":"a.json","$ref":"https://elsewhere.example/"}"#),
      Case(#"{"$ref":"https://json-schema.org/draft/2020-12/schema"}"#, #"{"minLength":1}"#),
      Case(
        #"{"$ref":"https://json-schema.org/draft/2020-12/meta/validation#/$defs/nonNegativeInteger"}"#, "-1",
        "must be at least 0"),
    ])
  func references(_ example: Case) throws { try example.check() }

  @Test("$dynamicRef takes the subschema of its name in the outermost resource that was entered")
  func dynamic() throws {
    let tree =
      ##"{"$id":"tree","$dynamicAnchor":"node","properties":{"children":{"items":{"$dynamicRef":"#node"}},"data":true}}"##
    let strict =
      #"{"$id":"https://a.example/strict","$dynamicAnchor":"node","$ref":"tree","unevaluatedProperties":false,"$defs":{"t":\#(tree)}}"#
    #expect(try told(tree, #"{"children":[{"daat":1}]}"#).isEmpty)
    #expect(try told(strict, #"{"children":[{"daat":1}]}"#) == ["/children/0/daat is not a known member"])
    #expect(try told(strict, #"{"children":[{"data":1}]}"#).isEmpty)
  }

  @Test("the meta-schema judges schemas, and tells where in it the keyword is")
  func metaSchema() throws {
    let schema = try JSONSchema(["$ref": "https://json-schema.org/draft/2020-12/schema"])
    let faults = schema.validate(["properties": ["a": ["type": "strnig"]], "required": "a"])
    #expect(Set(faults.map(\.pointer)) == ["/properties/a/type", "/required"])
    #expect(
      faults.contains {
        $0.keywordLocation == "https://json-schema.org/draft/2020-12/meta/validation#/$defs/stringArray/type"
      })
  }

  @Test(
    "what leaves the schema, or names nothing, is refused; nothing is fetched",
    arguments: [
      (#"{"$ref":"http://127.0.0.1:1/s.json"}"#, "/$ref leaves the schema"),
      (#"{"properties":{"a":{"$ref":"other.json"}}}"#, "/properties/a/$ref leaves the schema"),
      (#"{"$id":"https://a.example/x","$ref":"y"}"#, "/$ref leaves the schema"),
      (#"{"$ref":"file:///etc/passwd"}"#, "/$ref leaves the schema"),
      (#"{"$dynamicRef":"https://a.example/#node"}"#, "/$dynamicRef leaves the schema"),
      (##"{"$ref":"#/$defs/no"}"##, "/$ref points to what is not there"),
      (##"{"$ref":"#/title","title":"x"}"##, "/$ref points to what is no schema"),
      (##"{"$ref":"#no"}"##, "/$ref names an anchor that is not there"),
      (##"{"$ref":"#%zz"}"##, "/$ref has a broken percent-encoding"),
      (#"{"$ref":5}"#, "/$ref must be a string"),
      (
        #"{"$schema":"http://json-schema.org/draft-07/schema#"}"#,
        "/$schema must be https://json-schema.org/draft/2020-12/schema"
      ),
      (#"{"$defs":{"a":{"$schema":"https://a.example/mine"}}}"#, "/$defs/a/$schema must be"),
      (##"{"$id":"#a"}"##, "/$id must have no fragment"),
      (#"{"$anchor":"1a"}"#, "/$anchor must begin with a letter"),
      (#"{"$defs":{"a":{"$id":"x"},"b":{"$id":"x"}}}"#, "/$defs/b/$id names two"),
      (#"{"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}"#, "/$defs/b/$anchor names two"),
      (##"{"$ref":"#"}"##, "/$ref comes back to itself"),
      (
        ##"{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"not":{"$ref":"#/$defs/a"}}]}}}"##,
        "comes back to itself"
      ),
    ])
  func refused(_ schema: String, _ expected: String) throws {
    let refusals = try refusals(schema)
    #expect(refusals.count == 1 && refusals[0].contains(expected), "\(refusals)")
  }

  @Test("$schema of draft 2020-12 is taken, with an empty fragment too")
  func dialect() throws {
    #expect(try refusals(#"{"$schema":"https://json-schema.org/draft/2020-12/schema"}"#).isEmpty)
    #expect(try refusals(##"{"$schema":"https://json-schema.org/draft/2020-12/schema#"}"##).isEmpty)
  }
}

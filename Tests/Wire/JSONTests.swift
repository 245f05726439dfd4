import Foundation
import Testing
import Wire

@Suite("JSON")
struct JSONTests {
  @Test(
    "refuses what is not JSON, and says where",
    arguments: [
      ("", "", "ends too early"), ("{", "", "begins with its name"), ("{\"a\":}", "/a", "not a JSON value"),
      ("[1,]", "/1", "not a JSON value"), ("{\"a\":{\"b\":[1,tru]}}", "/a/b/1", "not a JSON value"),
      ("{\"a/b\":01}", "/a~1b", "not a JSON number"), ("\"\\u0000\"", "", "U+0000"),
      ("{\"x\":\"\\ud800\"}", "/x", "surrogate"), ("{\"a\":1,\"a\":2}", "/a", "stands twice"),
      ("1 2", "", "nothing may follow"), ("1e999", "", "too large"), ("\"\t\"", "", "control character"),
      ("nul", "", "not a JSON value"), ("-", "", "not a JSON number"), ("1.", "", "digits follow"),
    ])
  func refuses(_ text: String, _ pointer: String, _ message: String) {
    #expect { try JSON(parsing: text) } throws: { error in
      guard let error = error as? JSONError else { return false }
      return error.pointer == pointer && error.message.contains(message)
    }
  }

  @Test("refuses bytes that are not UTF-8")
  func badUTF8() {
    #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xFF, 0x22]) }
    #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xC0, 0x80, 0x22]) }
  }

  @Test("takes 64 levels and refuses 65, without ending the process at a million")
  func depth() throws {
    func nested(_ levels: Int) -> String {
      String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
    }
    _ = try JSON(parsing: nested(64))
    #expect(throws: JSONError.self) { try JSON(parsing: nested(65)) }
    #expect(throws: JSONError.self) { try JSON(parsing: nested(1_000_000)) }
  }

  @Test("an object of 50,000 members is read in time that grows with its size, not its square")
  func manyMembers() throws {
    let text = "{" + (0..<50_000).map { "\"key\($0)\":\($0)" }.joined(separator: ",") + "}"
    #expect(try JSON(parsing: text).object?.members.count == 50_000)
    #expect(throws: JSONError.self) { try JSON(parsing: text.dropLast() + ",\"key77\":0}") }
  }

  @Test("what is written reads back as the same value")
  func roundTrip() throws {
    let text = #"{"a":[1,-2,3.5,1e-7,true,null],"ü\n\"\\":{"emoji":"😀"},"big":9007199254740993,"empty":{}}"#
    let value = try JSON(parsing: text)
    #expect(try JSON(parsing: value.bytes) == value)
    #expect(value["big"] == .int(9_007_199_254_740_993))
  }

  @Test(
    "numbers are written as they came",
    arguments: [
      "0", "1.50", "1.0", "1E21", "1e21", "1e+21", "18446744073709551615", "9007199254740993", "0.0000001",
      "1e-7", "-0.10",
      "333333333.33333329", "0.1", "12345678.1234567", "123456789.12345678", "0.10", "100.5",
      "-9223372036854775809", "1e-400",
    ])
  func digits(_ text: String) throws { #expect(try JSON(parsing: text).text == text) }

  @Test(
    "numbers in the canonical form are ECMAScript's (RFC 8785, appendix B)",
    arguments: [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
      (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
      (0x4340_0000_0000_0000, "9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
      (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
      (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
      (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
      (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
      (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5557, "333333333.33333343"),
      (0xBECB_F647_612F_3696, "-0.0000033333333333333333"), (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
    ] as [(UInt64, String)])
  func canonicalNumbers(_ bits: UInt64, _ text: String) {
    #expect(String(decoding: JSON.double(Double(bitPattern: bits)).canonicalBytes, as: UTF8.self) == text)
  }

  @Test("members in the canonical form are sorted by UTF-16 (RFC 8785, section 3.2.3)")
  func canonicalOrder() throws {
    let value = try JSON(
      parsing: #"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#)
    let order = String(decoding: value.canonicalBytes, as: UTF8.self).filter(\.isNumber)
    // The member "1" contributes its name's digit and its value's.
    #expect(order == "214" + "67153")
  }

  @Test("a body's faults are all told, each with its pointer")
  func faults() throws {
    let body = try JSON(parsing: #"{"name":"","count":"x","list":[1,"a"],"extra":1}"#)
    var fields = JSONFields(body)
    _ = fields.required("name", .string(1...10))
    _ = fields.required("count", .int(0...9))
    _ = fields.required("list", JSONShape<Int>.int(0...9).array(0...9))
    _ = fields.required("missing", .bool)
    #expect {
      try fields.finish()
    } throws: { error in
      (error as? JSONFaults)?.faults.map(\.pointer) == ["/name", "/count", "/list/1", "/missing", "/extra"]
    }
  }

  @Test("names and texts are the same if their code points are, and not by canonical equivalence")
  func twoSpellings() throws {
    let json = try JSON(parsing: #"{"caf\u00e9":1,"cafe\u0301":2,"~\u0301/\u0301":"\u212a"}"#)
    var object = try #require(json.object)
    #expect(object["caf\u{e9}"] == 1)
    #expect(object["cafe\u{301}"] == 2)
    object["cafe\u{301}"] = nil
    #expect(object["caf\u{e9}"] == 1 && object.members.count == 2)
    #expect(JSON.string("\u{e9}") != JSON.string("e\u{301}"))
    #expect(try JSON(parsing: #"{"\u00e9":1}"#) != JSON(parsing: #"{"e\u0301":1}"#))
    #expect(try JSON(parsing: #"{"a":1,"\u00e9":1}"#) != JSON(parsing: #"{"e\u0301":1,"a":1}"#))
    #expect(Set(["\u{e9}", "e\u{301}"].map { ExactText($0) }).count == 2)
    #expect(JSONPointer.escape("~\u{301}/\u{301}").utf8.elementsEqual("~0\u{301}~1\u{301}".utf8))
    // The Kelvin sign is no K.
    var fields = JSONFields(["\u{212a}ey": 1])
    #expect(fields.optional("Key", .int(0...1)) == nil)
    #expect(throws: JSONFaults.self) { try fields.finish() }
  }
}

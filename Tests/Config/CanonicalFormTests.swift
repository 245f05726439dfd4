import Crypto
import Testing
import Wire

/// RFC 8785: two sides that hash the same value must get the same bytes.
@Suite struct CanonicalFormTests {
  /// Appendix B, and the limits of whole numbers.
  @Test(
    arguments: [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
      (0x8000_0000_0000_0001, "-5e-324"), (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
      (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"), (0x4340_0000_0000_0000, "9007199254740992"),
      (0xc340_0000_0000_0000, "-9007199254740992"), (0x4430_0000_0000_0000, "295147905179352830000"),
      (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"), (0x44b5_2d02_c7e1_4af6, "1e+23"),
      (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"), (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
      (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"), (0x444b_1ae4_d6e2_ef50, "1e+21"),
      (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"), (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
      (0x41b3_de43_5555_5553, "333333333.3333332"), (0x41b3_de43_5555_5554, "333333333.33333325"),
      (0x41b3_de43_5555_5555, "333333333.3333333"), (0x41b3_de43_5555_5556, "333333333.3333334"),
      (0x41b3_de43_5555_5557, "333333333.33333343"), (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
      (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] as [(UInt64, String)])
  func numbers(bits: UInt64, text: String) {
    #expect(canonical(.double(Double(bitPattern: bits))) == text)
  }

  @Test(
    arguments: [
      ("9007199254740992", "9007199254740992"), ("9007199254740993", "9007199254740992"),
      ("-9007199254740993", "-9007199254740992"), ("9223372036854775807", "9223372036854776000"),
      ("-9223372036854775808", "-9223372036854776000"), ("1152921504606846976", "1152921504606847000"),
      ("100000000000000000000", "100000000000000000000"), ("1E400000000", nil), ("-0", "0"), ("-0.0", "0"),
      ("1.0", "1"),
      ("4.50", "4.5"), ("2e-3", "0.002"), ("0.000000000000000000000000001", "1e-27"), ("1e2", "100"),
    ] as [(String, String?)])
  func numbersAsTheyAreWritten(text: String, canonical expected: String?) {
    #expect((try? JSON(parsing: text)).map(canonical) == expected)
  }

  /// Section 3.2.3: names are ordered by their UTF-16 code units, not by code points or bytes.
  @Test func namesAreOrderedByUTF16() throws {
    let text =
      #"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","#
      + #""\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#
    let values = try JSON(parsing: try JSON(parsing: text).canonicalBytes).object?.members.compactMap(
      \.value.string)
    #expect(
      values == [
        "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
        "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
      ])
  }

  /// Section 3.2.2.2, and the example of section 3.2.3.
  @Test func stringsAndLiterals() throws {
    let text = #"""
      { "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }
      """#
    #expect(
      canonical(try JSON(parsing: text))
        == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
        + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#)
    #expect(canonical(.string("\u{8}\u{9}\u{A}\u{C}\u{D}\u{1F}\u{7F}")) == "\"\\b\\t\\n\\f\\r\\u001f\u{7F}\"")
  }

  /// RFC 8785 does not normalise: these are two names.
  @Test func namesAreComparedByTheirBytes() throws {
    let members = (0..<20).map { #""k\#($0)":0"# } + [#""\u00e9":1"#, #""e\u0301":2"#]
    for text in [#"{"\u00e9":1,"e\u0301":2}"#, "{\(members.joined(separator: ","))}"] {
      #expect(throws: Never.self) { try JSON(parsing: text) }
    }
    for text in [#"{"\u00e9":1,"é":2}"#, #"{\#(members.joined(separator: ",")),"k3":1}"#] {
      #expect(throws: JSONError.self) { try JSON(parsing: text) }
    }
  }

  @Test func canonicalFormIsItsOwn() throws {
    let text = #"{"b":[1e21,{"z":1,"a":-0.5}],"a":"\u0001"}"#
    let bytes = try JSON(parsing: text).canonicalBytes
    #expect(try JSON(parsing: bytes).canonicalBytes == bytes)
    #expect(try JSON(parsing: bytes).bytes == bytes, "what a document carries hashes to the artefact's hash")
    #expect(SHA256.hash(data: Array("{}".utf8)).hex.hasPrefix("44136fa355b3678a"))
  }

  private func canonical(_ json: JSON) -> String { String(decoding: json.canonicalBytes, as: UTF8.self) }

  @Test("whole numbers that readers would hash differently are refused with their pointers, and no others")
  func uncanonicalNumbers() throws {
    let content = try JSON(
      parsing:
        #"{"f":9007199254740993,"a/b":[1,18446744073709551615,-9007199254740992],"g":9007199254740991}"#)
    #expect(
      content.uncanonicalNumbers(at: "/content").map(\.pointer) == [
        "/content/f", "/content/a~1b/1", "/content/a~1b/2",
      ])
    #expect(
      try JSON(parsing: "[9007199254740993.0, 1e17, 9.007199254740993e15]").uncanonicalNumbers(at: "").count
        == 2)
    let fine = try JSON(parsing: #"{"e":333333333.33333329,"d":0.0000001,"c":1E21,"b":-0,"a":1.0}"#)
    #expect(fine.uncanonicalNumbers(at: "").isEmpty)
    #expect(
      String(decoding: fine.canonicalBytes, as: UTF8.self)
        == #"{"a":1,"b":0,"c":1e+21,"d":1e-7,"e":333333333.3333333}"#)
    #expect(throws: JSONError.self) { try JSON(parsing: "[1e400]") }
  }
}

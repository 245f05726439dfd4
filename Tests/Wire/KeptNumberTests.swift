import Testing
import Wire

@Suite struct KeptNumberTests {
  @Test(arguments: [
    "0.5", "1e-16383", "1e+300", "0.1234567890123456789012345", "-1.5e-100", "1.25e-16381",
  ])
  func whatPostgresKeeps(_ text: String) throws {
    #expect(try JSON(parsing: Array(#"{"a":[1,\#(text)]}"#.utf8)).isKept)
  }

  @Test(arguments: [
    "1e-16384", "1.0e-16383", "1e-9999999999999999999", "1e-9223372036854775808",
    "0e9223372036854775807", "1e400", "0." + String(repeating: "1", count: 16_384),
  ])
  func whatItDoesNot(_ text: String) throws {
    #expect(try !JSON(parsing: Array(#"{"a/b":[1,\#(text)]}"#.utf8), allowsAnyNumber: true).isKept)
  }

  @Test(arguments: [
    ("1e5", true), ("1E-7", true), ("-0", true), ("-0.0", true), ("1e400", true), ("1e21", true),
    ("0.0000001", false),
    ("0", false), ("1.50", false), ("-0.5", false), ("18446744073709551615", false), ("0.000001", false),
  ])
  func whatItWritesAnew(_ text: String, _ isAnew: Bool) throws {
    let json = try JSON(parsing: Array(#"{"a":[1,{"b":\#(text)}]}"#.utf8), allowsAnyNumber: true)
    #expect(json.isWrittenAnew == isAnew)
  }
}

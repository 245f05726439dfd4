import Testing
import Wire

@Suite struct KeptNumberTests {
  @Test(arguments: [
    "0.5", "1e-16383", "1e+300", "0.1234567890123456789012345", "-1.5e-100", "1.25e-16381",
  ])
  func whatPostgresKeeps(_ text: String) throws {
    #expect(try JSON(parsing: Array(#"{"a":[1,\#(text)]}"#.utf8)).numberNotKept == nil)
  }

  @Test(arguments: [
    "1e-16384", "1.0e-16383", "1e-9999999999999999999", "0." + String(repeating: "1", count: 16_384),
  ])
  func whatItDoesNot(_ text: String) throws {
    #expect(try JSON(parsing: Array(#"{"a/b":[1,\#(text)]}"#.utf8)).numberNotKept == "/a~1b/1")
  }
}

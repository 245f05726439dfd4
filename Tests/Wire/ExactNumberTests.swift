import Testing
import Wire

@Suite("Exact numbers")
struct ExactNumberTests {
  private static func number(_ text: String) throws -> ExactNumber {
    try #require(ExactNumber(JSON(parsing: text)))
  }

  @Test(
    "spellings of one value are one",
    arguments: [
      ["1", "1.0", "10e-1", "0.1e1"], ["0", "-0", "0.000", "0e99"], ["-150", "-1.5E+2", "-150.00"],
      ["18446744073709551616", "18446744073709551616.0"], ["1e-400", "10e-401"],
    ])
  func spellings(_ texts: [String]) throws {
    #expect(Set(try texts.map(Self.number)).count == 1)
  }

  @Test("they are in the order of their values")
  func order() throws {
    let texts = [
      "-2", "-1.5", "-1e-99999999999999999999", "0", "1e-400", "0.1",
      "0.10000000000000000001", "0.2", "9007199254740992", "9007199254740993", "1e20", "1.1e20", "1e308",
    ]
    let numbers = try texts.map(Self.number)
    for (a, b) in zip(numbers, numbers.dropFirst()) {
      #expect(a < b && !(b < a) && a != b)
    }
  }

  @Test(
    "whole numbers that fit are read, however they are written",
    arguments: [
      ("3", 3), ("3.0", 3), ("-30e-1", -3), ("9223372036854775807.0", .max), ("-9223372036854775808", .min),
      ("0.0", 0),
      ("9223372036854775808", nil), ("3.5", nil), ("1e19", nil), ("1e-99999999999999999999", nil),
      ("3.00000000000000000001", nil),
    ] as [(String, Int64?)])
  func whole(_ text: String, _ value: Int64?) throws {
    #expect(try JSON(parsing: text).whole == value)
  }
}

import JSONSchema
import Testing
import Wire

@Suite("JSON Schema: patterns of ECMA-262")
struct PatternTests {
  private static func schema(_ pattern: String) throws -> JSONSchema {
    try JSONSchema(["pattern": .string(pattern)])
  }

  @Test(
    "what is not written the same in RE2 means the same",
    arguments: [
      (#"^\d+$"#, ["42"], ["४२", "a"]), (#"^\w$"#, ["a", "_"], ["é", "-"]),
      (#"^\s$"#, ["\u{A0}", "\u{2029}", "\u{FEFF}", "\u{B}"], ["x"]),
      (#"^\S$"#, ["x", "é"], ["\u{A0}", "\t"]), (#"^[\S]$"#, ["x"], ["\u{3000}"]),
      (#"^[^\s,]+$"#, ["ab"], ["a,b", "a\u{A0}b"]),
      ("^.$", ["é", "😀", "\u{85}"], ["\n", "\r", "\u{2028}"]), (#"^\u0041$"#, ["A"], ["B"]),
      (#"^\u{1F600}$"#, ["😀"], ["x"]),
      (#"^\uD83D\uDE00$"#, ["😀"], ["x"]), (#"^\x41\cJ$"#, ["A\n"], ["A"]), (#"^[^]$"#, ["\n", "x"], [""]),
      ("[]", [], ["", "x"]),
      (#"^(?<year>\d{4})-(?:\d\d)$"#, ["2026-01"], ["26-01"]), (#"^[\w-.]+$"#, ["a-b.c"], ["a b"]),
      (#"^[[:alpha:]$"#, ["[", ":"], ["b"]),
      (#"^\p{L}+$"#, ["éß東"], ["1"]), (#"^\p{Letter}+$"#, ["é"], ["1"]),
      (#"^\p{Script=Greek}$"#, ["α"], ["a"]), (#"^\P{Lu}$"#, ["a"], ["A"]),
      (#"^[\p{ASCII}]+$"#, ["ab"], ["é"]), (#"^\/\-\.\$$"#, ["/-.$"], ["/-x$"]), ("^{a}$", ["{a}"], ["a"]),
      ("^a{2,3}$", ["aa"], ["a", "aaaa"]),
      ("a$", ["a", "ba"], ["a\n"]), ("^b", ["bc"], ["a\nb"]), (#"\bfoo\b"#, ["a foo b"], ["food"]),
      (#"^[\b]$"#, ["\u{8}"], ["b"]),
      ("^a.*?b$", ["axxb"], ["a"]), (#"^[a\-z]+$"#, ["a-z"], ["b"]), (#"^\0?$"#, [""], ["0"]),
      ("^(a|b)*c|d$", ["abac", "xd"], ["ab"]),
    ] as [(String, [String], [String])])
  func meaning(_ pattern: String, _ fitting: [String], _ others: [String]) throws {
    let schema = try Self.schema(pattern)
    for text in fitting { #expect(schema.validate(.string(text)).isEmpty, "\(text.debugDescription)") }
    for text in others { #expect(!schema.validate(.string(text)).isEmpty, "\(text.debugDescription)") }
  }

  @Test(
    "what no automaton can do in linear time, or nobody knows, is refused with its reason",
    arguments: [
      ("^(?=a)", "looks ahead or behind"), ("(?!a)", "looks ahead or behind"),
      ("(?<=a)b", "looks ahead or behind"),
      ("(?<!a)b", "looks ahead or behind"), (#"(a)\1"#, "refers back"), (#"(?<n>a)\k<n>"#, "refers back"),
      ("(?i)a", "kind of group"),
      ("(?P<n>a)", "kind of group"), (#"\a"#, "ECMA-262 does not know"),
      (#"\Aa\z"#, "ECMA-262 does not know"), (#"\Qa\E"#, "ECMA-262 does not know"),
      ("[z-a]", "range"), ("[a", "not closed"), ("(a", "not a pattern"), ("a)", "not a pattern"),
      ("*a", "not a pattern"), ("a**", "not a pattern"),
      (#"a\"#, "backslash"), (#"\u12"#, "4 hexadecimal digits"), (#"\p{Nonsense}"#, "not a pattern"),
      (#"\pL"#, #"\p without"#),
      ("a{1001}", "repeats more than 1000 times"), (#"^[\p{L}]{1000}$"#, "too large a pattern"),
      (#"\u{110000}"#, "beyond 10FFFF"),
    ])
  func refused(_ pattern: String, _ reason: String) {
    #expect {
      try Self.schema(pattern)
    } throws: { error in
      guard let fault = (error as? JSONFaults)?.faults.first else { return false }
      return fault.pointer == "/pattern" && fault.message.contains(reason)
    }
  }
}

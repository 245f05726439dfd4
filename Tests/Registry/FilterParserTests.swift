import Foundation
import Testing
import Wire

@testable import FilterLanguage
@testable import RegistryDomain

/// A filter that cannot be read, where, and a part of the message.
struct BadFilter: Sendable, CustomTestStringConvertible {
  let text: String
  let column: Int
  let message: String

  init(_ text: String, _ column: Int, _ message: String) {
    (self.text, self.column, self.message) = (text, column, message)
  }

  var testDescription: String { String(text.prefix(60)) }

  static let all: [BadFilter] = [
    .init("", 1, "expected a field or ("), .init("   ", 4, "the filter ends"),
    .init("nope==1", 1, "there is no field “nope”"), .init("ID==1", 1, "there is no field"),
    .init("name", 5, "expected one of == != =lt="), .init("name=1", 5, "expected one of =="),
    .init("name=like=x", 5, "expected one of"), .init("name=LT=x", 5, "expected one of"),
    .init("name<5", 5, "found “<”"), .init("name==", 7, "expected a value, the filter ends"),
    .init("name==;soc==x", 7, "expected a value"), .init("name==a b", 9, "stand in quotes"),
    .init("name==O'Brien", 8, "stand in quotes"), .init("name=='a", 7, "quotes are not closed"),
    .init(#"name=="a\"#, 7, "quotes are not closed"), .init("name==(a)", 7, "expected a value"),
    .init("name=in=a", 9, "values in brackets"), .init("name=in=()", 10, "expected a value"),
    .init("name=in=(a", 11, "expected , or )"), .init("name=in=(a;b)", 11, "expected , or )"),
    .init("name==a;", 9, "expected a field"), .init("name==a,,name==b", 9, "expected a field"),
    .init("(name==a", 9, "a ) for the ( at column 1"), .init("name==a)", 8, "without a ("),
    .init("name==a;(soc==b;(id=exists=true)", 33, "( at column 9"), .init("()", 2, "expected a field"),
    .init("name=exists=yes", 13, "expected true or false"), .init("boardId==x", 10, "expected a UUID"),
    .init("soc==n;id=in=(019a0000-0000-7000-8000-000000000000, x)", 53, "expected a UUID"),
    .init("createdAt=gt=2025-02-30T00:00:00Z", 14, "expected a time of RFC 3339"),
    .init("createdAt=gt=2025-11-30", 14, "expected a time"),
    .init("lastSeenAt==1764536400", 13, "expected a time"),
    .init("online==TRUE", 9, "expected true or false"), .init("online=lt=true", 7, "has no order"),
    .init("groupId=gt=019a0000-0000-7000-8000-000000000000", 8, "has no order"),
    .init("applicationVersion=ge=1.2.3.4.5", 23, "expected a version"),
    .init("applicationVersion==a", 21, "expected a version"),
    .init("metadata.==x", 10, "a name after the dot"),
    .init("attributes.", 12, "a name after the dot"), .init("metadata==x", 1, "there is no field"),
    .init("name==é\u{301}x;bad==1", 11, "no field “bad”"),
    .init(String(repeating: "(", count: 33) + "id==x", 33, "32 deep at most"),
    .init(String(repeating: "(", count: 30_000), 33, "32 deep at most"),
    .init(String(repeating: "soc==a;", count: 101), 701, "100 comparisons at most"),
    .init(String(repeating: "a", count: 40_000), 32_769, "32768 characters at most"),
    .init("soc=in=(" + String(repeating: "a,", count: 2000) + "a)", 4009, "2000 values at most"),
  ]
}

@Suite("RSQL")
struct FilterParserTests {
  /// A filter with its structure in brackets.
  static func show(_ text: String) throws -> String {
    func show(_ operand: DeviceExpression.Operand) -> String {
      switch operand {
      case .text(let text): "'\(text)'"
      case .id(let id): id.text
      case .time(let time): time.rfc3339
      case .flag(let flag): "\(flag)"
      case .version(let version): "v\(version)"
      case .pattern(let pattern):
        "\(pattern.isOpenBefore ? "…" : "")'\(pattern.text)'\(pattern.isOpenAfter ? "…" : "")"
      }
    }
    func show(_ comparison: DeviceExpression.Comparison) -> String {
      switch comparison.test {
      case .isOne(let operands): "\(comparison.field) is \(operands.map(show).joined(separator: "|"))"
      case .isNone(let operands): "\(comparison.field) not \(operands.map(show).joined(separator: "|"))"
      case .order(let order, let operand): "\(comparison.field) \(order) \(show(operand))"
      case .exists(let isThere): "\(comparison.field) \(isThere ? "there" : "missing")"
      }
    }
    func show(_ node: DeviceExpression.Node) -> String {
      switch node {
      case .all(let nodes): "(\(nodes.map(show).joined(separator: " & ")))"
      case .any(let nodes): "(\(nodes.map(show).joined(separator: " / ")))"
      case .comparison(let comparison): show(comparison)
      }
    }
    return show(try DeviceExpression(parsing: text).root)
  }

  @Test(
    "structure and values",
    arguments: [
      ("soc==a", "soc is 'a'"), ("soc!=a", "soc not 'a'"), (" soc == a ", "soc is 'a'"),
      ("soc==a;name==b,mcuId==c", "((soc is 'a' & name is 'b') / mcuId is 'c')"),
      ("soc==a;(name==b,mcuId==c)", "(soc is 'a' & (name is 'b' / mcuId is 'c'))"),
      ("((soc==a))", "soc is 'a'"),
      ("(soc==a,soc==b);(name==c)", "((soc is 'a' / soc is 'b') & name is 'c')"),
      ("soc=in=(a, 'b c',\"d\")", "soc is 'a'|'b c'|'d'"), ("soc=out=(a)", "soc not 'a'"),
      ("name==a*", "name is 'a'…"), ("name==*a", "name is …'a'"), ("name==*a*", "name is …'a'…"),
      ("name==*", "name is …''…"), ("name==**", "name is …''…"), ("name==a*b", "name is 'a*b'"),
      ("name=='a*'", "name is 'a'…"), (#"name=='a\*'"#, "name is 'a*'"), (#"name=='\**'"#, "name is '*'…"),
      ("name=gt=a*", "name greater 'a*'"), ("name=in=(a*,b)", "name is 'a'…|'b'"),
      (#"name=='O\'Brien \\ "x"'"#, #"name is 'O'Brien \ "x"'"#), ("name==''", "name is ''"),
      (#"name==a\b"#, #"name is 'a\b'"#), ("name==50%_&+:/?#[]{}|^`", "name is '50%_&+:/?#[]{}|^`'"),
      ("metadata.fw.channel==beta", #"metadata("fw.channel") is 'beta'"#),
      ("metadata.a b =lt= 3", #"metadata("a b") less '3'"#),
      (#"metadata."a=b (c)"==x"#, #"metadata("a=b (c)") is 'x'"#),
      ("attributes.battery=exists=false", #"attribute("battery") missing"#),
      ("name=exists=true", "name there"), ("online!=true", "online not true"),
      ("online==*", "online is …''…"),
      ("applicationVersion=le=1.02", "applicationVersion lessOrEqual v1.2.0.0"),
      ("createdAt=ge=2025-11-30T23:00:00+02:00", "createdAt greaterOrEqual 2025-11-30T21:00:00.000Z"),
      ("createdAt=ge=2025-11-30T23:00:00 02:00", "createdAt greaterOrEqual 2025-11-30T21:00:00.000Z"),
      ("createdAt=ge='2025-11-30T23:00:00 02:00'", "createdAt greaterOrEqual 2025-11-30T21:00:00.000Z"),
      (
        "metadata.at=lt=2025-11-30T23:00:00.5 02:00;soc==a",
        #"(metadata("at") less '2025-11-30T23:00:00.5+02:00' & soc is 'a')"#
      ),
      ("id==019A0000-0000-7000-8000-000000000000", "id is 019a0000-0000-7000-8000-000000000000"),
    ])
  func reads(_ text: String, _ expected: String) throws { #expect(try Self.show(text) == expected) }

  @Test("every fault has its place", arguments: BadFilter.all)
  func faults(_ bad: BadFilter) {
    #expect {
      try DeviceExpression(parsing: bad.text)
    } throws: { error in
      let fault = error as? FilterFault
      return fault?.column == bad.column && fault?.message.contains(bad.message) == true
        && fault.map { $0.message.utf8.count < 500 } == true
    }
  }

  @Test("a group's query has registry fields only")
  func groupQuery() throws {
    #expect(try DeviceExpression(parsing: "soc==a;metadata.x!=1").usesOnlyRegistryFields)
    #expect(try !DeviceExpression(parsing: "soc==a,online==true").usesOnlyRegistryFields)
    for field in [
      "groupId==*", "online==true", "lastSeenAt==*", "applicationId==1", "applicationVersion==1",
      "attributes.x==1",
    ] {
      #expect {
        try DeviceExpression(parsing: "(soc==a);\(field)", for: .groupQuery)
      } throws: { error in
        (error as? FilterFault)?.column == 10
          && (error as? FilterFault)?.message.contains("would move members") == true
      }
    }
  }

  @Test("what begins with a text ends before its end")
  func patternEnd() {
    func end(_ text: String) -> String? {
      DeviceExpression.Pattern(text, isOpenBefore: false, isOpenAfter: true).end
    }
    #expect(end("ab") == "ac")
    #expect(end("a\u{10FFFF}") == "b")
    #expect(end("\u{10FFFF}") == nil)
    #expect(end("\u{D7FF}") == "\u{E000}")
  }

  @Test("no text makes it fail otherwise than by a fault")
  func anyText() {
    let pieces = [
      "name", "metadata.", "attributes.x", "==", "!=", "=in=", "=lt=", "(", ")", ";", ",", "'", "\"", "\\",
      "*",
      " ", "a", "é", "\u{301}", "👩‍🚀", "=", "!", "=exists=", "true", "online", "\u{7F}",
    ]
    for _ in 0..<3000 {
      let text = (0..<Int.random(in: 0...12)).map { _ in pieces.randomElement() ?? "" }.joined()
      do throws(FilterFault) { _ = try DeviceExpression(parsing: text) } catch {
        #expect((1...text.unicodeScalars.count + 1).contains(error.column), "\(text)")
      }
    }
  }
}

import Foundation
import Testing
import Wire

@testable import RegistryDomain

@Suite("Rows of an import")
struct ImportReaderTests {
  /// Each row as `line: body`, or `line! fault`.
  static func rows(_ text: String, _ format: ImportFormat) throws -> [String] {
    try rows(Array(text.utf8), format)
  }

  static func rows(_ bytes: [UInt8], _ format: ImportFormat) throws -> [String] {
    var reader = try ImportReader(bytes, format)
    var rows: [String] = []
    while let row = reader.next() {
      #expect(row.row == rows.count + 1)
      switch row.body {
      case .success(let body): rows.append("\(row.line): \(body.text)")
      case .failure(let faults): rows.append("\(row.line)! \(faults.description)")
      }
    }
    return rows
  }

  static let head = "mcuId,boardId,name,metadata.site\n"

  @Test(
    "CSV",
    arguments: [
      ("a,b,c,d", ["2: {mcuId:a,boardId:b,name:c,metadata:{site:d}}"]),
      ("a,b,c,d\n", ["2: {mcuId:a,boardId:b,name:c,metadata:{site:d}}"]),
      (
        "a,b,c,d\r\n\r\n\ne,b,,",
        ["2: {mcuId:a,boardId:b,name:c,metadata:{site:d}}", "5: {mcuId:e,boardId:b}"]
      ),
      (
        "a,b,\"x, \"\"y\"\"\r\nz\",d\ne,b,,",
        ["2: {mcuId:a,boardId:b,name:x, \\y\\\\r\\nz,metadata:{site:d}}", "4: {mcuId:e,boardId:b}"]
      ),
      ("\"a\",b,\"\", d ", ["2: {mcuId:a,boardId:b,metadata:{site: d }}"]),
      ("007,b,1e3,0x10", ["2: {mcuId:007,boardId:b,name:1e3,metadata:{site:0x10}}"]),
      ("a,b,c", ["2! the body has 3 cells; the header has 4"]),
      ("a,b,c,d,e\nf,b,,", ["2! the body has 5 cells; the header has 4", "3: {mcuId:f,boardId:b}"]),
      (
        "a,b,c\"x,d\nf,b,,",
        ["2! the body has a quote in a cell that does not begin with one", "3: {mcuId:f,boardId:b}"]
      ),
      (
        "a,\"b\"x,c,d\nf,b,,",
        ["2! the body has something after the closing quote of a cell", "3: {mcuId:f,boardId:b}"]
      ),
      (
        "a,\"b,c,d\nf,b,,", ["2! the body has quotes that are not closed (it goes from line 2 to line 3)"]
      ),
      (
        "a,\"b,c,d\nf,\"b\",,\ng,b,,",
        [
          "2! the body has something after the closing quote of a cell (it goes from line 2 to line 3)",
          "4: {mcuId:g,boardId:b}",
        ]
      ),
      (
        "\"\"\r\n\"\"\n\r\n\r\r\na,b,,",
        ["5! the body has 1 cells; the header has 4", "6: {mcuId:a,boardId:b}"]
      ),
      ("a,b,\0,d", ["2! the body holds U+0000, which cannot be stored"]),
    ])
  func csv(_ text: String, _ expected: [String]) throws {
    let rows = try Self.rows(Self.head + text, .csv).map { row in
      row.contains("!") ? row : row.replacingOccurrences(of: "\"", with: "")
    }
    #expect(rows == expected)
  }

  @Test("CSV in other dress: semicolons, byte order mark, header names in any case")
  func dress() throws {
    let text =
      "\u{FEFF} MCUID ; boardid;Metadata.Rack,1;InitialDeviceState\r\na,1;b;c;\"{\"\"applicationId\"\":7}\"\r\n"
    #expect(
      try Self.rows(text, .csv)
        == [
          #"2: {"mcuId":"a,1","boardId":"b","initialDeviceState":{"applicationId":7},"metadata":{"Rack,1":"c"}}"#
        ])
    #expect(
      try Self.rows(Array("mcuId,boardId\na,".utf8) + [0xFF], .csv) == ["2! the body is not valid UTF-8"])
    #expect(try Self.rows("mcuId,boardId\n", .csv) == [])
    #expect(
      try Self.rows("mcuId,boardId,initialDeviceState\na,b,{", .csv).first?.contains("initialDeviceState")
        == true)
  }

  @Test(
    "a wrong header",
    arguments: [
      "", "\n", "mcuId", "boardId,name", "mcuId,boardId,nope", "mcuId,boardId,mcuid", "mcuId,boardId,",
      "mcuId,boardId,metadata.", "mcuId,boardId,metadata.a,METADATA.a", "mcuId,\"boardId", "{\"mcuId\":1}",
    ])
  func header(_ text: String) {
    #expect(throws: JSONFaults.self) { try ImportReader(Array(text.utf8), .csv) }
  }

  @Test("NDJSON")
  func ndjson() throws {
    let text = "\u{FEFF}{\"a\":1}\r\n\n  \n[1]\n{\"a\":\n{\"a\":1,\"a\":2}\n{\"x\":\"\\u0000\"}\n{\"b\":2}"
    let rows = try Self.rows(text, .ndjson)
    #expect(rows.first == #"1: {"a":1}"# && rows.last == #"8: {"b":2}"#)
    #expect(rows.map { $0.prefix(2) } == ["1:", "4:", "5!", "6!", "7!", "8:"])
    #expect(rows[4].contains("/x"))
    #expect(try Self.rows("", .ndjson) == [])
    #expect(try Self.rows("\n", .ndjson) == [])
  }

  @Test("how many rows are too many")
  func tooMany() throws {
    func isTooLong(_ count: Int, _ format: ImportFormat, _ line: String) throws -> Bool {
      var reader = try ImportReader(
        Array(((format == .csv ? "mcuId,boardId\n" : "") + String(repeating: line, count: count)).utf8),
        format)
      while reader.skip() {}
      return reader.isTooLong
    }
    #expect(try !isTooLong(100_000, .ndjson, "{}\n"))
    #expect(try isTooLong(100_001, .ndjson, "{}\n"))
    #expect(try !isTooLong(100_000, .ndjson, "{}\n  \n\n\r\n"))
    #expect(try !isTooLong(100_000, .csv, "a,b\n\n"))
    #expect(try !isTooLong(60_000, .csv, "a,\"b\n\nc\"\n"))
    #expect(try isTooLong(100_001, .csv, "a,b\n"))
  }

  @Test("a row beyond 1 MiB fails alone and is not read; columns and faults are bounded")
  func bounds() throws {
    let long = String(repeating: "x", count: ImportReader.maximumSize)
    let lines = try Self.rows("{\"a\":\"\(long)\"}\n{\"b\":2}", .ndjson)
    #expect(lines == ["1! the body is longer than 1 MiB", #"2: {"b":2}"#])
    for cells in ["\(long),b,,", "a,b,\"\(long)\n\",", String(repeating: ",", count: long.utf8.count + 1)] {
      let rows = try Self.rows(Self.head + cells + "\na,b,,", .csv)
      #expect(rows.first?.hasPrefix("2! the body is longer than 1 MiB") == true && rows.count == 2)
    }
    let columns = (0..<300).map { ",metadata.m\($0)" }
    #expect(throws: JSONFaults.self) {
      try ImportReader(Array("mcuId,boardId\(columns.joined())".utf8), .csv)
    }
    let wide = "mcuId,boardId\(columns.prefix(254).joined())\na,b" + String(repeating: ",c", count: 254)
    #expect(try Self.rows(wide, .csv).count == 1)
    #expect(throws: JSONFaults.self) {
      try ImportReader(Array((String(repeating: "metadata.a,", count: 200_000) + "mcuId").utf8), .csv)
    }
    let many = JSONFaults((0..<50).map { JSONFault(pointer: "/\($0)", message: "is wrong") }).ofRow
    #expect(many.faults.count == 21 && many.faults.last?.message == "has 30 more faults")
    #expect(many.ofRow == many)
  }
}

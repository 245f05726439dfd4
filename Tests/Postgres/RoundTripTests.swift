import Foundation
import Postgres
import Testing

/// Each type goes to the server and back, alone and in arrays.
@Suite struct RoundTripTests {
  @Test func scalars() async throws {
    try await withClient { client in
      let id = UUID()
      let date = Date(timeIntervalSince1970: 1_750_000_000.123456)
      let bytes: [UInt8] = [0, 1, 255, 0]
      let json = PostgresJSON(text: #"{"a": [1, "ü"]}"#)
      let row = try await client.query(
        """
        SELECT \(true), \(Int16.min), \(Int32.max), \(Int64.min), \(Int.max), \(-0.1), \("häß 🐦\n'\\"), \(id), \(date),
          \(bytes), \(json), \("")
        """
      ).first
      let found = try #require(row).decode(
        (Bool, Int16, Int32, Int64, Int, Double, String, UUID, Date, [UInt8], PostgresJSON, String).self)
      #expect(found.0 == true)
      #expect(found.1 == .min)
      #expect(found.2 == .max)
      #expect(found.3 == .min)
      #expect(found.4 == .max)
      #expect(found.5 == -0.1)
      #expect(found.6 == "häß 🐦\n'\\")
      #expect(found.7 == id)
      #expect(abs(found.8.timeIntervalSince(date)) < 1e-6)
      #expect(found.9 == bytes)
      #expect(found.10 == json)
      #expect(found.11 == "")
    }
  }
}

/// Arrays, nulls, edges.
@Suite struct ArrayTests {
  private func back<T: PostgresCodable & Equatable>(_ value: T, _ client: PostgresClient) async throws -> Bool
  {
    let found = try await client.one("SELECT \(value)", T.self)
    return found == value
  }

  @Test func arraysOfEachType() async throws {
    try await withClient { client in
      let good = [
        try await back([true, false], client),
        try await back([Int16.min, 0, .max], client),
        try await back([Int32.min, 0, .max], client),
        try await back([Int64.min, 0, .max], client),
        try await back([Int.min, 0, .max], client),
        try await back([0.0, -1.5, .infinity], client),
        try await back(["", "ä", "NULL", "{,}\"\\", "👩‍👩‍👧"], client),
        try await back([UUID(), UUID()], client),
        try await back([Date(timeIntervalSince1970: 0), Date(timeIntervalSince1970: -1.5)], client),
        try await back([PostgresJSON(text: "1"), PostgresJSON(text: #"{"ü": null}"#)], client),
        try await back([[UInt8]](arrayLiteral: [], [0], [255, 0]), client),
        try await back((0..<1000).map { "value \($0)" }, client),
      ]
      #expect(!good.contains(false), "\(good)")
    }
  }

  @Test func emptyArraysAndNulls() async throws {
    try await withClient { client in
      let good = [
        try await back([String](), client), try await back([UUID](), client),
        try await back([UInt8](), client),
        try await back([String?](), client), try await back(["a", nil, ""] as [String?], client),
        try await back([nil, 1] as [Int?], client), try await back([nil] as [UUID?], client),
        try await back([nil, PostgresJSON(text: "[]")] as [PostgresJSON?], client),
        try await back([nil, [1, 2]] as [[UInt8]?], client), try await back(String?.none, client),
        try await back(Date?.none, client), try await back([Int]?.none, client),
        try await back([Int]?([4]), client),
      ]
      #expect(!good.contains(false), "\(good)")
    }
  }

  @Test func unnestSeesTheElementsAndTheirNulls() async throws {
    try await withClient { client in
      let ids = [UUID(), UUID(), UUID()]
      let names: [String?] = ["a", nil, "c"]
      let numbers = [1, 2, 3]
      let rows = try await client.query(
        """
        SELECT * FROM unnest(\(ids)::uuid[], \(names)::text[], \(numbers)::int8[]) AS t(id, name, n)
        WHERE id = ANY(\(ids)) ORDER BY n
        """
      ).decode((UUID, String?, Int).self)
      #expect(rows.map(\.0) == ids)
      #expect(rows.map(\.1) == names)
      #expect(rows.map(\.2) == numbers)
    }
  }

  @Test func whatTheServerMakesIsRead() async throws {
    try await withClient { client in
      try await client.query("CREATE TYPE mood AS ENUM ('good', 'bad')")
      let row = try #require(
        try await client.query(
          """
          SELECT 'good'::mood, 'x'::varchar, 'y '::char(3), 'z'::name, 1.5::float4, '2026-01-02'::date,
            '2026-01-02 03:04:05.000006Z'::timestamptz, 'infinity'::timestamptz, '{"b":1,  "a":2}'::json,
            '{"b":1,  "a":2}'::jsonb, '[0:1]={4,5}'::int[], ARRAY['good'::mood]
          """
        ).first)
      let found = try row.decode(
        (
          String, String, String, String, Double, Date, Date, Date, PostgresJSON, PostgresJSON, [Int],
          [String]
        ).self)
      #expect(found.0 == "good" && found.1 == "x" && found.2 == "y  " && found.3 == "z" && found.4 == 1.5)
      #expect(found.5 == Date(timeIntervalSince1970: 1_767_312_000))
      #expect(abs(found.6.timeIntervalSince1970 - 1_767_323_045.000006) < 1e-6)
      #expect(found.7 == .distantFuture)
      #expect(found.8.text == #"{"b":1,  "a":2}"#)
      #expect(found.9.text == #"{"a": 2, "b": 1}"#)
      #expect(found.10 == [4, 5])
      #expect(found.11 == ["good"])
    }
  }

  @Test func numericIsReadAsANumber() async throws {
    try await withClient { client in
      for number in [
        "0", "7", "-10000", "123456789012", "9223372036854775807", "-9223372036854775808", "100000000",
      ] {
        let found = try await client.one("SELECT \(unescaped: number)::numeric", Int.self)
        #expect(found == Int(number))
      }
      for text in ["1.5", "9223372036854775808", "'NaN'", "0.00001", "'Infinity'"] {
        let error = await fault { try await client.one("SELECT \(unescaped: text)::numeric", Int.self) }
        #expect(error?.kind == .decoding, "\(text)")
      }
      for number in ["0", "-1.5", "12345.678", "0.0001", "1e20"] {
        let found = try #require(try await client.one("SELECT \(unescaped: number)::numeric", Double.self))
        let wanted = try #require(Double(number))
        #expect(abs(found - wanted) <= abs(wanted) * 1e-15)
      }
    }
  }

  @Test func microsecondsSurvive() async throws {
    try await withClient { client in
      let dates = (0..<500).map { Date(timeIntervalSince1970: 1_700_000_000 + Double($0) * 1234.567891) }
      let texts = try await client.all(
        "SELECT (extract(epoch FROM d) * 1000000)::int8 FROM unnest(\(dates)) d", Int.self)
      #expect(texts == dates.map { Int(($0.timeIntervalSince1970 * 1e6).rounded()) })
      let back = try await client.one("SELECT \(dates)", [Date].self)
      // Twice through the server is the same as once.
      let again = try await client.one("SELECT \(back)", [Date].self)
      #expect(back == again)
    }
  }

  @Test func whatDoesNotFitIsAnError() async throws {
    try await withClient { client in
      let tooBig = await fault { try await client.one("SELECT 70000", Int16.self) }
      #expect(tooBig?.kind == .decoding)
      #expect(tooBig?.description.contains("70000") == false)
      for query in ["SELECT now()", "SELECT 1.5", "SELECT ARRAY[[1],[2]]"] {
        let error = await fault { try await client.one(PostgresQuery(unsafeSQL: query), [Int].self) }
        #expect(error?.kind == .decoding, "\(query)")
      }
      let null = await fault { try await client.one("SELECT ARRAY[1, null]", [Int].self) }
      #expect(null?.kind == .decoding)
      let nul = await fault { try await client.query("SELECT \("a\0b")") }
      #expect(nul?.code == "22021")
    }
  }

  private struct Key: RawRepresentable, PostgresCodable, PostgresArrayElement, Equatable {
    var rawValue: UUID
  }
  private enum Colour: String, PostgresCodable, PostgresArrayElement { case red, green }

  @Test func ownTypesOverARawValue() async throws {
    try await withClient { client in
      let good = [
        try await back(Key(rawValue: UUID()), client), try await back([Key(rawValue: UUID())], client),
        try await back(Colour.green, client), try await back([Colour.red, .green], client),
      ]
      #expect(!good.contains(false))
      let unknown = await fault { try await client.one("SELECT 'blue'", Colour.self) }
      #expect(unknown?.kind == .decoding)
    }
  }
}

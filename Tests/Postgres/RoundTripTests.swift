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

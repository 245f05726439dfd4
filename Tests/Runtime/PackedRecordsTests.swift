import FoundationEssentials
import Observability
import Postgres
import TestSupport
import Testing
import Wire

@testable import Runtime

@Suite struct PackedRecordsTests {
  private let events = [
    Event(
      topic: .deviceDownlink, key: "0011223344556677", type: "a", payload: Array("{\"ä\":1}".utf8),
      traceparent: "00-1"),
    Event(topic: .registryEntities, key: "device/1", type: "b", payload: nil, traceparent: nil),
    Event(topic: .commandsEvents, key: "", type: "", payload: [], traceparent: ""),
  ]

  private func same(_ read: [Event?], _ events: [Event]) -> Bool {
    read.count == events.count
      && zip(read, events).allSatisfy { read, event in
        guard let read else { return false }
        return read.topic == event.topic && read.key == event.key && read.type == event.type
          && read.payload == event.payload && read.traceparent == event.traceparent
      }
  }

  @Test func whatIsPackedIsRead() throws {
    #expect(same(try PackedRecords.unpack(PackedRecords(events).bytes), events))
    #expect(try PackedRecords.unpack([]).isEmpty)
  }

  @Test func packedRowsAreJoinedByPuttingThemTogether() throws {
    let joined = PackedRecords([events[0]]).bytes + PackedRecords(Array(events[1...])).bytes
    #expect(same(try PackedRecords.unpack(joined), events))
  }

  @Test func aRowThatIsCutOffIsRefused() {
    let whole = PackedRecords(events).bytes
    let ends = PackedRecords([events[0]]).bytes.count
    for length in 1..<whole.count
    where length != ends && length != PackedRecords(Array(events[..<2])).bytes.count {
      #expect(throws: UnreadableRow.self) { try PackedRecords.unpack(Array(whole[..<length])) }
    }
  }

  @Test func whatWaitsUnpackedIsTakenAlong() async throws {
    let database = PostgresClient(
      configuration: try PostgresConfiguration(
        url: try await PostgresServer.shared().createDatabase("packed"), schema: "packed",
        applicationName: "tests"),
      loop: .start("postgres-test"), logger: Logger(label: "test", level: .error))
    let running = Task { try await database.run() }
    defer { running.cancel() }
    let before = Outbox.migrations.prefix { $0.name != "V0005_outbox_packed" }
    _ = try await database.migrate(Array(before), set: "runtime")
    for event in events {
      try await database.query(
        """
        INSERT INTO outbox (aggregatetype, aggregateid, type, payload, traceparent)
        VALUES (\(event.topic.rawValue), \(event.key), \(event.type),
          \(event.payload.map { String(decoding: $0, as: UTF8.self) }), \(event.traceparent))
        """)
    }
    _ = try await database.migrate(Outbox.migrations, set: "runtime")
    let rows = try await database.query("SELECT records FROM outbox").decode([UInt8].self)
    #expect(rows.count == 1)
    #expect(same(try PackedRecords.unpack(rows.first ?? []), events))

    // Records of one transaction are much alike: a server that can compresses them into their page.
    let many = (0..<100).map { number in
      Event(
        topic: .commandsEvents, key: "0123456789abcdef", type: "martlet.command.created",
        json: ["number": .int(Int64(number)), "status": "PENDING"], traceparent: TraceContext().traceparent)
    }
    try await database.query(Outbox.insert(many))
    let (stored, size, packed) = try #require(
      await database.query(
        "SELECT pg_column_size(records), octet_length(records), records FROM outbox ORDER BY id DESC LIMIT 1"
      ).first
    ).decode((Int32, Int32, [UInt8]).self)
    #expect(same(try PackedRecords.unpack(packed), many))
    let canCompress = try await database.query(
      "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    ).decode(Bool.self)
    #expect(canCompress != [true] || stored < size / 2)
  }
}

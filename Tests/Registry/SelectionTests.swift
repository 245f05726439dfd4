import Foundation
import TestSupport
import Testing
import Wire

@testable import RegistryService

@Suite("Filters that other services ask for")
struct SelectionTests {
  /// As the consumer does it.
  private static func ask(_ world: World, _ filter: String, _ id: UUID = .v7()) async throws -> UUID {
    let organisation = try #require(UUID(uuidString: world.names["mine"] ?? ""))
    try await world.database.withTransaction { connection in
      try await world.registry.select(
        [(SelectionRequest(id: id, organisationId: organisation, filter: filter), nil)], on: connection)
    }
    return id
  }

  /// The pages of an answer, up to the last.
  private static func pages(_ reader: RecordReader, _ id: UUID) async throws -> [SelectedDevices] {
    var pages: [SelectedDevices] = []
    while pages.last?.isLast != true {
      pages.append(try SelectedDevices(payload: try #require(try await reader.next(id.text)).bytes))
    }
    return pages
  }

  @Test(
    "each device that fits once, page by page, also of two who answer; the same question once more is one")
  func pages() async throws {
    let world = try await World()
    let kafka = try await World.kafka()
    let reader = try await RecordReader(kafka, .deviceSelected)
    let other = try await RecordReader(kafka, .deviceSelected)
    let board = try await DeviceTests.board(world)
    // In one statement: what matters is how many there are.
    let lines = (0..<2300).map { ImportTests.line(board, "s\($0)") }.joined()
    #expect(ImportTests.counts(await ImportTests.send(world, lines)).first == 2300)
    let id = try await Self.ask(world, "boardId==\(board);mcuId==s1*")
    _ = try await Self.ask(world, "boardId==\(board)", id)
    let all = try await Self.ask(world, "boardId==\(board);online=exists=false")
    async let one: Void = { while try await world.registry.answerSelection() {} }()
    async let two: Void = { while try await world.registry.answerSelection() {} }()
    _ = try await (one, two)
    let some = try await Self.pages(reader, id)
    // s1, s10–s19, s100–s199, s1000–s1999.
    #expect(some.flatMap(\.devices).count == 1111 && some.map(\.page) == [0, 1])
    #expect(some.allSatisfy { $0.fault == nil })
    let every = try await Self.pages(other, all)
    #expect(every.map(\.devices.count) == [1000, 1000, 300])
    #expect(Set(every.flatMap(\.devices).map(\.deviceId)).count == 2300)
    #expect(try await !world.registry.answerSelection())
  }

  @Test("a filter that cannot be answered says why; one that finds nothing has an empty page")
  func faults() async throws {
    let world = try await World()
    let kafka = try await World.kafka()
    let (reader, other) = (
      try await RecordReader(kafka, .deviceSelected), try await RecordReader(kafka, .deviceSelected)
    )
    let (bad, none) = (try await Self.ask(world, "nothing==1"), try await Self.ask(world, "mcuId==nobody"))
    while try await world.registry.answerSelection() {}
    let fault = try await Self.pages(reader, bad)
    #expect(fault.count == 1 && fault[0].fault?.contains("column 1") == true)
    let empty = try await Self.pages(other, none)
    #expect(empty == [SelectedDevices(id: none, page: 0, devices: [], isLast: true)])
  }
}

import FoundationEssentials
import Loop
import Observability
import TestSupport
import Testing
import Threads
import Wire

@testable import Runtime

@Suite("Uses of API keys")
struct KeyUsesTests {
  private let loop = EventLoop.start("key-uses-test")
  private let logger = Logger(label: "test", level: .critical)
  private let organisation = UUID.v7()

  private func key(_ id: UUID) -> Principal {
    .key(id: id, organisationId: organisation, name: "k", role: .viewer)
  }

  /// What was told; fails as often as it is asked to.
  private actor Told {
    var all: [[UUID: Date]] = []
    var failures = 0
    func fail(_ count: Int) { failures = count }
    func take(_ uses: [UUID: Date]) throws {
      guard failures == 0 else {
        failures -= 1
        throw TestSupportError("away")
      }
      all.append(uses)
    }
  }

  @Test("the last use of each is told; what could not be told is told with the next; nothing is told twice")
  func told() async throws {
    let told = Told()
    let uses = KeyUses(loop, logger, every: .milliseconds(20)) { try await told.take($0) }
    let running = loop.task(throwing: { try await uses.run() })
    let (one, two) = (UUID.v7(), UUID.v7())
    let now = Date.now
    await told.fail(3)
    uses.note(key(one), at: now)
    uses.note(key(one), at: now + 1)
    uses.note(.root, at: now)
    try await eventually("it was tried") { await told.failures < 3 }
    uses.note(key(two), at: now)
    try await eventually("both are told") {
      await told.all.reduce(into: [:]) { $0.merge($1) { $1 } } == [one: now + 1, two: now]
    }
    #expect(uses.waiting.isEmpty)
    #expect(await told.all.flatMap(\.keys).count == 2)
    running.cancel()
    _ = await running.result
  }

  @Test("what was used last is told when the service ends")
  func atTheEnd() async throws {
    let told = Told()
    let uses = KeyUses(loop, logger) { try await told.take($0) }
    let running = loop.task(throwing: { try await uses.run() })
    let (one, now) = (UUID.v7(), Date.now)
    uses.note(key(one), at: now)
    running.cancel()
    _ = await running.result
    #expect(await told.all == [[one: now]])
  }

  @Test("records are read as they were written, thousands in several")
  func records() throws {
    let times = Dictionary(
      uniqueKeysWithValues: (0..<2500).map {
        (UUID.v7(), Date(timeIntervalSince1970: 1_800_000_000 + Double($0)))
      })
    let events = UsedKeys(times).events(by: "commands")
    #expect(events.map(\.key) == ["commands", "commands", "commands"])
    #expect(
      try events.reduce(into: [:]) { $0.merge(try UsedKeys(payload: $1.payload ?? []).times) { $1 } } == times
    )
    for bad in [
      "", "[]", "{}", #"{"keys": [{"id": "x", "at": "2026-01-01T00:00:00Z"}]}"#, #"{"keys": [{}]}"#,
    ] {
      #expect(throws: (any Error).self) { try UsedKeys(payload: Array(bad.utf8)) }
    }
  }
}

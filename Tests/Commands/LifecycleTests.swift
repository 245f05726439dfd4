import CommandsDomain
import Foundation
import Testing
import Wire

@Suite("A command's lifecycle")
struct LifecycleTests {
  static let timeouts = Timeouts(deliver: 10, acknowledge: 20, complete: 30)
  static let start = Date(timeIntervalSince1970: 1_700_000_000)

  static func fresh() -> CommandProgress { CommandProgress(createdAt: start, timeouts: timeouts, by: "test") }

  /// Every cell, written a second time by hand: rows are statuses, columns events in the order of the enumeration.
  static let table: [CommandStatus: String] = [
    .pending: "S n A + - T n -", .sent: "n n A + - T n -", .acknowledged: "n . . + - T . -",
    .success: "n . . . . . . .",
    .failed: "n . . . . . . .", .timeout: ". . l l l . . .",
  ]

  @Test("every status against every event", arguments: CommandStatus.allCases)
  func cells(_ status: CommandStatus) throws {
    let words = try #require(Self.table[status]).split(separator: " ")
    #expect(words.count == CommandEvent.allCases.count)
    for (event, word) in zip(CommandEvent.allCases, words) {
      let expected: CommandOutcome =
        switch word {
        case "S": .moves(to: .sent)
        case "A": .moves(to: .acknowledged)
        case "+": .moves(to: .success)
        case "-": .moves(to: .failed)
        case "T": .moves(to: .timeout)
        case "n": .noted
        case "l": .late
        default: .ignored
        }
      #expect(Lifecycle.outcome(status, event) == expected, "\(status) × \(event)")
    }
  }

  @Test("whatever happens in whatever order, it only moves forward, and final is final")
  func neverBack() {
    func rank(_ status: CommandStatus) -> Int {
      switch status {
      case .pending: 0
      case .sent: 1
      case .acknowledged: 2
      case .success, .failed, .timeout: 3
      }
    }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      var progress = Self.fresh()
      for step in 1...12 {
        let before = progress
        let event = CommandEvent.allCases.randomElement(using: &generator) ?? .sent
        let outcome = progress.apply(
          CommandOccurrence(event, at: Self.start.addingTimeInterval(Double(step))), timeouts: Self.timeouts)
        #expect(rank(progress.status) >= rank(before.status))
        if !before.status.isOpen { #expect(progress.status == before.status) }
        #expect(progress.status.isOpen == (progress.deadline != nil), "an open command has a deadline")
        #expect(progress.rev == before.rev + (outcome == .ignored ? 0 : 1))
        #expect(progress.timeline.count == before.timeline.count + (outcome == .ignored ? 0 : 1))
      }
    }
  }

  @Test("replaying a log twice over gives the same status")
  func replay() {
    let log: [CommandEvent] = [.sent, .acknowledged, .succeeded]
    var once = Self.fresh()
    var twice = Self.fresh()
    for event in log { _ = once.apply(CommandOccurrence(event, at: Self.start), timeouts: Self.timeouts) }
    for event in log + log {
      _ = twice.apply(CommandOccurrence(event, at: Self.start), timeouts: Self.timeouts)
    }
    #expect(once.status == twice.status && once.result == twice.result)
  }

  @Test("deadlines follow the status")
  func deadlines() {
    var progress = Self.fresh()
    #expect(progress.deadline == Self.start.addingTimeInterval(10))
    _ = progress.apply(
      CommandOccurrence(.sent, at: Self.start.addingTimeInterval(1)), timeouts: Self.timeouts)
    #expect(progress.deadline == Self.start.addingTimeInterval(21))
    _ = progress.apply(
      CommandOccurrence(.acknowledged, at: Self.start.addingTimeInterval(2)), timeouts: Self.timeouts)
    #expect(progress.deadline == Self.start.addingTimeInterval(32))
    _ = progress.apply(
      CommandOccurrence(.succeeded, at: Self.start.addingTimeInterval(3)), timeouts: Self.timeouts)
    #expect(progress.deadline == nil)
  }

  @Test("an answer that overtook the bridge's report leaves sentAt to be filled in")
  func overtaken() {
    var progress = Self.fresh()
    _ = progress.apply(
      CommandOccurrence(.succeeded, at: Self.start, result: ["ok": true]), timeouts: Self.timeouts)
    _ = progress.apply(CommandOccurrence(.sent, at: Self.start), timeouts: Self.timeouts)
    #expect(progress.status == .success && progress.sentAt == Self.start && progress.result == ["ok": true])
  }

  @Test("a story's times never go back, though its reports come by different ways")
  func timesInOrder() {
    var progress = Self.fresh()
    _ = progress.apply(CommandOccurrence(.sent, at: Self.start + 2), timeouts: Self.timeouts)
    _ = progress.apply(CommandOccurrence(.acknowledged, at: Self.start + 1), timeouts: Self.timeouts)
    _ = progress.apply(CommandOccurrence(.succeeded, at: Self.start + 1.5), timeouts: Self.timeouts)
    #expect(progress.acknowledgedAt == Self.start + 2)
    #expect(progress.completedAt == Self.start + 2)
    #expect(progress.timeline.map(\.at) == progress.timeline.map(\.at).sorted())
  }

  @Test("a late answer is kept, and neither a repeat nor an older one replaces it")
  func late() {
    var progress = Self.fresh()
    _ = progress.apply(CommandOccurrence(.deadlinePassed, at: Self.start), timeouts: Self.timeouts)
    #expect(progress.status == .timeout && progress.reason == "notDelivered")
    let answer = CommandOccurrence(.succeeded, at: Self.start, result: ["n": 1])
    #expect(progress.apply(answer, timeouts: Self.timeouts) == .late)
    #expect(
      progress.apply(CommandOccurrence(.acknowledged, at: Self.start), timeouts: Self.timeouts) == .ignored)
    #expect(progress.apply(answer, timeouts: Self.timeouts) == .ignored)
    #expect(progress.status == .timeout && progress.lateOutcome?["status"] == "SUCCESS")
  }

  @Test("docs/lifecycle.md says what the code does")
  func page() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/lifecycle.md").standardized
    if ProcessInfo.processInfo.environment["MARTLET_WRITE_DOCS"] != nil {
      try Data(LifecycleTable.markdown.utf8).write(to: file)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == LifecycleTable.markdown, "run: make docs")
  }
}

@Suite("The catalogue of a device")
struct CatalogueTests {
  @Test("built-in types, the board's own, and none that speaks a topic of its own")
  func entries() {
    let catalogue = Catalogue(board: [
      "blink": ["timeouts": ["acknowledgeSeconds": 5]], "lock": ["topic": "iotee/dev/{hardware_id}/rls"],
      "REBOOT": ["timeouts": ["completeSeconds": 90]],
    ])
    #expect(Set(catalogue.types) == ["REBOOT", "UPDATE_CONFIG", "UPDATE_FIRMWARE", "blink"])
    #expect(catalogue["UPDATE_FIRMWARE"]?.timeouts.complete == 1800)
    #expect(catalogue["blink"]?.timeouts == Timeouts(deliver: 30, acknowledge: 5, complete: 30))
    #expect(catalogue["REBOOT"]?.timeouts.complete == 90)
    #expect(catalogue["lock"] == nil)
  }
}

import CommandsDomain
import Foundation
import Testing
import Wire

@Suite("A command's lifecycle")
struct LifecycleTests {
  static let timeouts = Timeouts(deliver: 10, acknowledge: 20, complete: 30)
  static let start = Date(timeIntervalSince1970: 1_700_000_000)

  static func fresh() -> CommandState {
    CommandState(createdAt: start, timeouts: timeouts, by: "test")
  }

  /// Every cell, written a second time by hand: rows are statuses, columns events in the order of the enumeration.
  static let table: [CommandStatus: String] = [
    .pending: "S n A + - T n - - A . - n", .sent: "n n A + - T n - . A . - .",
    .acknowledged: "n . . + - T . - . p . - .", .success: "n . . . . . . . . . . n .",
    .failed: "n . l l l . . . . l n n .", .timeout: ". . l l l . . . . l n n .",
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
        case "p": .progresses
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
      var state = Self.fresh()
      for step in 1...12 {
        let before = state
        let event = CommandEvent.allCases.randomElement(using: &generator) ?? .sent
        let outcome = state.apply(
          CommandOccurrence(event, at: Self.start.addingTimeInterval(Double(step))), timeouts: Self.timeouts)
        #expect(rank(state.status) >= rank(before.status))
        if !before.status.isOpen { #expect(state.status == before.status) }
        #expect(state.status.isOpen == (state.deadline != nil), "an open command has a deadline")
        #expect(state.rev == before.rev + (outcome == .ignored ? 0 : 1))
        let isInTimeline = outcome != .ignored && outcome != .progresses
        #expect(state.timeline.count == before.timeline.count + (isInTimeline ? 1 : 0))
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
    var state = Self.fresh()
    #expect(state.deadline == Self.start.addingTimeInterval(10))
    _ = state.apply(
      CommandOccurrence(.sent, at: Self.start.addingTimeInterval(1)), timeouts: Self.timeouts)
    #expect(state.deadline == Self.start.addingTimeInterval(21))
    _ = state.apply(
      CommandOccurrence(.acknowledged, at: Self.start.addingTimeInterval(2)), timeouts: Self.timeouts)
    #expect(state.deadline == Self.start.addingTimeInterval(32))
    _ = state.apply(
      CommandOccurrence(.succeeded, at: Self.start.addingTimeInterval(3)), timeouts: Self.timeouts)
    #expect(state.deadline == nil)
  }

  @Test("an answer that overtook the bridge's report leaves sentAt to be filled in")
  func overtaken() {
    var state = Self.fresh()
    _ = state.apply(
      CommandOccurrence(.succeeded, at: Self.start, result: ["ok": true]), timeouts: Self.timeouts)
    _ = state.apply(CommandOccurrence(.sent, at: Self.start), timeouts: Self.timeouts)
    #expect(state.status == .success && state.sentAt == Self.start && state.result == ["ok": true])
  }

  @Test("a story's times never go back, though its reports come by different ways")
  func timesInOrder() {
    var state = Self.fresh()
    _ = state.apply(CommandOccurrence(.sent, at: Self.start + 2), timeouts: Self.timeouts)
    _ = state.apply(CommandOccurrence(.acknowledged, at: Self.start + 1), timeouts: Self.timeouts)
    _ = state.apply(CommandOccurrence(.succeeded, at: Self.start + 1.5), timeouts: Self.timeouts)
    #expect(state.acknowledgedAt == Self.start + 2)
    #expect(state.completedAt == Self.start + 2)
    #expect(state.timeline.map(\.at) == state.timeline.map(\.at).sorted())
  }

  @Test("a late answer is kept, and neither a repeat nor an older one replaces it")
  func late() {
    var state = Self.fresh()
    _ = state.apply(CommandOccurrence(.deadlinePassed, at: Self.start), timeouts: Self.timeouts)
    #expect(state.status == .timeout && state.reason == "notDelivered")
    let answer = CommandOccurrence(.succeeded, at: Self.start, result: ["n": 1])
    #expect(state.apply(answer, timeouts: Self.timeouts) == .late)
    #expect(
      state.apply(CommandOccurrence(.acknowledged, at: Self.start), timeouts: Self.timeouts) == .ignored)
    #expect(state.apply(answer, timeouts: Self.timeouts) == .ignored)
    #expect(state.status == .timeout && state.lateOutcome?["status"] == "SUCCESS")
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
  @Test("built-in types, the board's own, and none whose topic is not safe")
  func entries() {
    let catalogue = Catalogue(board: [
      "blink": ["timeouts": ["acknowledgeSeconds": 5]], "lock": ["topic": "iotee/dev/{hardware_id}/rls"],
      "spy": ["topic": "martlet/v1/{device_id}/desired"], "REBOOT": ["timeouts": ["completeSeconds": 90]],
    ])
    #expect(
      Set(catalogue.types) == [
        "REBOOT", "UPDATE_CONFIG", "UPDATE_FIRMWARE", "BIND_CONFIG_ARTEFACT", "UNBIND_CONFIG_ARTEFACT",
        "blink", "lock",
      ])
    let own: JSONObject = [
      "BIND_CONFIG_ARTEFACT": ["paramsSchema": true, "timeouts": ["completeSeconds": 90]]
    ]
    let bind = Catalogue(board: own)["BIND_CONFIG_ARTEFACT"]
    #expect(bind?.paramsSchema?["required"] == ["artefactId"] && bind?.timeouts.complete == 90)
    #expect(catalogue["UPDATE_FIRMWARE"]?.timeouts.complete == 1800)
    #expect(catalogue["blink"]?.timeouts == Timeouts(deliver: 30, acknowledge: 5, complete: 30))
    #expect(catalogue["REBOOT"]?.timeouts.complete == 90)
    #expect(catalogue["lock"]?.own != nil && catalogue["blink"]?.own == nil)
    let shipped = Catalogue(board: ["lock": ["description": "native"]], deviceType: "iotee_device")
    #expect(
      Set(shipped.types)
        == ["lock", "unlock", "reboot", "BIND_CONFIG_ARTEFACT", "UNBIND_CONFIG_ARTEFACT"])
    #expect(shipped["lock"]?.own == nil)
    #expect(Catalogue(board: ["UPDATE_FIRMWARE": [:]])["UPDATE_FIRMWARE"]?.timeouts.complete == 1800)
    let accent: JSONObject = ["caf\u{E9}": [:]]
    #expect(Catalogue(board: accent)["caf\u{E9}"] != nil && Catalogue(board: accent)["cafe\u{301}"] == nil)
  }

  @Test("a board's timeouts stand between its catalogue's and the defaults, within 1 s to 30 days")
  func timeouts() {
    let catalogue = Catalogue(
      board: ["blink": ["timeouts": ["acknowledgeSeconds": 5]]],
      timeouts: ["deliverSeconds": 86_400, "acknowledgeSeconds": 60, "completeSeconds": .double(9e15)])
    let month = 30 * 86_400
    #expect(catalogue["blink"]?.timeouts == Timeouts(deliver: 86_400, acknowledge: 5, complete: month))
    #expect(catalogue["REBOOT"]?.timeouts == Timeouts(deliver: 86_400, acknowledge: 60, complete: month))
    let one = Catalogue(board: [:], timeouts: ["deliverSeconds": 0, "completeSeconds": "1"])
    #expect(one["UPDATE_FIRMWARE"]?.timeouts == Timeouts(deliver: 1, acknowledge: 30, complete: 1800))
  }
}

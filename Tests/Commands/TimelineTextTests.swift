import CommandsDomain
import FoundationEssentials
import Testing
import Wire

@testable import CommandsService

@Suite struct TimelineTextTests {
  @Test(arguments: ["", "a", "two words ", "a\nb\\n\\", "\n", "é 世界"])
  func whatIsWrittenIsRead(_ detail: String) throws {
    let at = try #require(Date(rfc3339: "2026-01-31T12:00:00.123Z"))
    var state = CommandState(
      createdAt: at, timeouts: Timeouts(deliver: 1, acknowledge: 1, complete: 1), by: detail,
      replica: "commands-1")
    state.attempts = 1
    for occurrence in [
      CommandOccurrence(.sent, at: at, replica: "bridge-2"), CommandOccurrence(.acknowledged, at: at),
    ] {
      _ = state.apply(
        occurrence, timeouts: Timeouts(deliver: 1, acknowledge: 1, complete: 1), by: "commands-a@b#c")
    }
    let read = TimelineEntry.read(lines: state.timelineText + "of a newer version\n")
    #expect(read == state.timeline)
    #expect(read.first?.detail == detail)
    #expect(read.map(\.replica) == ["commands-1", "bridge-2", "commands-a@b#c"])
    #expect(read.map(\.attempt) == [nil, 1, nil])
  }
}

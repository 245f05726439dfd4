/// The lifecycle as a page for people: `docs/lifecycle.md` is this text, and a test holds it to that.
public enum LifecycleTable {
  /// The table in Markdown.
  public static var markdown: String {
    let events = CommandEvent.allCases
    var lines = [
      "# A command's lifecycle", "",
      "Generated from `Services/commands/Domain/CommandStatus.swift`; `make docs` writes it anew.", "",
      "| status \\ event | " + events.map(\.rawValue).joined(separator: " | ") + " |",
      "|---" + String(repeating: "|---", count: events.count) + "|",
    ]
    for status in CommandStatus.allCases {
      let cells = events.map { cell(Lifecycle.outcome(status, $0)) }
      lines.append("| **\(status.rawValue)** | " + cells.joined(separator: " | ") + " |")
    }
    lines += [
      "", "- → X: it goes on to X. SUCCESS, FAILED and TIMEOUT are final.",
      "- noted: it stays, and its timeline keeps it.",
      "- late: it stays TIMEOUT, and the answer is kept as `lateOutcome`.",
      "- –: nothing, a repeat or out of order.",
      "",
    ]
    return lines.joined(separator: "\n")
  }

  private static func cell(_ outcome: CommandOutcome) -> String {
    switch outcome {
    case .moves(let status): "→ \(status.rawValue)"
    case .noted: "noted"
    case .late: "late"
    case .ignored: "–"
    }
  }
}

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
      "- late: it stays, and the answer is kept as `lateOutcome`. Not where the device's own answer made it FAILED: then this",
      "  is a repeat, or out of order.",
      "- progress: it stays, the newest progress is kept, and its deadline moves on.",
      "- –: nothing, a repeat or out of order.",
      "",
      "`cancelled` is a user's, and only for what is PENDING. What the bridge has not read yet is called back; if it has it in",
      "hand already it may still reach the device: then `sent` is noted, and the device's answer is late.",
      "",
      "`heard` is of a command with `waitTimeoutMs` alone: its first deadline is that, and its TIMEOUT says `notHeard`; once its",
      "device is heard from, the time to deliver it begins.",
      "",
      "`deleted` is the last of a command: it is gone with it. `retried` names the command that was made for it.",
      "",
    ]
    return lines.joined(separator: "\n")
  }

  private static func cell(_ outcome: CommandOutcome) -> String {
    switch outcome {
    case .moves(let status): "→ \(status.rawValue)"
    case .noted: "noted"
    case .late: "late"
    case .progresses: "progress"
    case .ignored: "–"
    }
  }
}

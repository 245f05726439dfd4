import CommandsDomain
import FoundationEssentials
import Wire

/// A command's story as its row keeps it: an entry a line, so that the next one is simply put behind, and short, since each
/// move writes the whole row: `1767225600123 sent SENT#1@bridge-1` and, where there is more to say, a detail.
extension TimelineEntry {
  /// As the API shows it.
  var json: JSON {
    .compact([
      "at": .string(at.rfc3339), "event": .string(event), "status": .string(status.rawValue),
      "attempt": attempt.map { .int(Int64($0)) }, "replica": replica.map { .string($0) },
      "detail": detail.map { .string($0) },
    ])
  }

  /// Adds the entry and the end of its line.
  fileprivate func append(to text: inout String) {
    text += String(at.millisecondsSince1970)
    text += " "
    text += event
    text += " "
    text += status.rawValue
    if let attempt {
      text += "#"
      text += String(attempt)
    }
    if let replica {
      text += "@"
      text += Self.word(replica)
    }
    if let detail {
      text += " "
      text += Self.escaped(detail)
    }
    text += "\n"
  }

  /// Reads a whole story; lines that this version does not understand are left out.
  static func read(lines: String) -> [TimelineEntry] {
    lines.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
      guard words.count >= 3, let milliseconds = Int64(words[0]) else { return nil }
      let parts = words[2].split(separator: "@", maxSplits: 1)
      let numbered = (parts.first ?? "").split(separator: "#", maxSplits: 1)
      guard let status = numbered.first.flatMap({ CommandStatus(rawValue: String($0)) }) else { return nil }
      return TimelineEntry(
        at: Date(timeIntervalSince1970: Double(milliseconds) / 1000), event: String(words[1]), status: status,
        attempt: numbered.count > 1 ? Int(numbered[1]) : nil,
        replica: parts.count > 1 ? String(parts[1]) : nil,
        detail: words.count > 3 ? unescaped(words[3]) : nil)
    }
  }

  /// In one piece: blanks and lines' ends part what a line holds.
  private static func word(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\n") }) else {
      return text
    }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == " " || $0 == "\n" ? "_" : $0 }))
  }

  /// A line's end within a detail must not end the line.
  private static func escaped(_ detail: String) -> String {
    guard detail.utf8.contains(where: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\\") }) else {
      return detail
    }
    return detail.unicodeScalars.reduce(into: "") { text, scalar in
      switch scalar {
      case "\n": text += "\\n"
      case "\\": text += "\\\\"
      default: text.unicodeScalars.append(scalar)
      }
    }
  }

  private static func unescaped(_ text: Substring) -> String {
    var detail = ""
    var isEscaped = false
    for scalar in text.unicodeScalars {
      if isEscaped {
        detail.unicodeScalars.append(scalar == "n" ? "\n" : scalar)
        isEscaped = false
      } else if scalar == "\\" {
        isEscaped = true
      } else {
        detail.unicodeScalars.append(scalar)
      }
    }
    return detail
  }
}

extension CommandState {
  /// The entries that it has, as lines to be put behind those that are stored.
  var timelineText: String { timeline.reduce(into: "") { $1.append(to: &$0) } }
}

import CommandsDomain
import FoundationEssentials
import Wire

/// A command's story as its row keeps it: an entry a line, so that the next one is simply put behind, and short, since each
/// move writes the whole row: `1767225600123 sent SENT` and, where there is more to say, a detail.
extension TimelineEntry {
  /// As the API shows it.
  var json: JSON {
    .compact([
      "at": .string(at.rfc3339), "event": .string(event), "status": .string(status.rawValue),
      "detail": detail.map { .string($0) },
    ])
  }

  /// The entry and the end of its line.
  fileprivate var line: String {
    let text = "\(at.millisecondsSince1970) \(event) \(status.rawValue)"
    return text + (detail.map { " " + Self.escaped($0) } ?? "") + "\n"
  }

  /// Reads a whole story; lines that this version does not understand are left out.
  static func read(lines: String) -> [TimelineEntry] {
    lines.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
      guard words.count >= 3, let milliseconds = Int64(words[0]),
        let status = CommandStatus(rawValue: String(words[2]))
      else { return nil }
      return TimelineEntry(
        at: Date(timeIntervalSince1970: Double(milliseconds) / 1000), event: String(words[1]), status: status,
        detail: words.count > 3 ? unescaped(words[3]) : nil)
    }
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
  var timelineText: String { timeline.reduce(into: "") { $0 += $1.line } }
}

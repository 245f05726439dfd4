import CommandsDomain
import FoundationEssentials
import Wire

/// A command's story as its row keeps it: an entry a line, so that the next one is simply put behind.
extension TimelineEntry {
  /// As the API shows it.
  var json: JSON {
    .compact([
      "at": .string(at.rfc3339), "event": .string(event), "status": .string(status.rawValue),
      "detail": detail.map { .string($0) },
    ])
  }

  /// The entry and the end of its line.
  fileprivate var line: [UInt8] {
    var object = JSONObjectWriter(capacity: 128)
    object.add("at", at)
    object.add("event", event)
    object.add("status", plain: status.rawValue)
    object.add("detail", detail)
    return object.finish() + [UInt8(ascii: "\n")]
  }

  /// Reads the whole of a story.
  static func read(lines: String) throws -> [TimelineEntry] {
    try lines.utf8.split(separator: UInt8(ascii: "\n")).compactMap {
      TimelineEntry(json: try JSON(parsing: Array($0)))
    }
  }

  private init?(json: JSON) {
    guard let at = json["at"]?.string.flatMap(Date.init(rfc3339:)), let event = json["event"]?.string,
      let status = json["status"]?.string.flatMap(CommandStatus.init(rawValue:))
    else { return nil }
    self.init(at: at, event: event, status: status, detail: json["detail"]?.string)
  }
}

extension CommandProgress {
  /// The entries that it has, as lines to be put behind those that are stored.
  var timelineText: String { String(decoding: timeline.flatMap(\.line), as: UTF8.self) }
}

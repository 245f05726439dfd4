import FoundationEssentials
import Wire

/// An attribute of a device's state as it is stored: `{value, text?, at}`. The database's `jsonb` writes some numbers in other
/// digits (`JSON.isWrittenAnew`); `text` then is the value as the device wrote it, and `value` is for filters.
enum StoredAttribute {
  /// - Parameter arrived: when the suite got it, for who stores it.
  static func json(_ value: JSON, at: Date, arrived: Date? = nil) -> JSON {
    .compact([
      "value": value.isKept ? value : .null,
      "text": value.isWrittenAnew ? .string(value.text) : nil,
      "at": .string(at.rfc3339), "arrived": arrived.map { .string($0.rfc3339) },
    ])
  }

  /// As the API shows it.
  static func shown(_ stored: JSON) -> JSON {
    guard let text = stored["text"]?.string, var shown = stored.object else { return stored }
    shown["text"] = nil
    if let value = try? JSON(
      parsing: Array(text.utf8), maximumDepth: JSON.defaultDepth + 8, allowsAnyNumber: true)
    {
      shown["value"] = value
    }
    return .object(shown)
  }
}

/// The rules for topics and topic filters, checked before anything is sent.
public enum MQTTTopic {
  /// Whether messages can be published to `topic`: 1 to 65,535 bytes, no wildcard, no NUL.
  public static func isValid(_ topic: String) -> Bool {
    let bytes = topic.utf8
    guard !bytes.isEmpty, bytes.count <= 65_535 else { return false }
    return bytes.allSatisfy { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "#") && $0 != 0 }
  }

  /// Whether `filter` can be subscribed to: `+` fills a whole level, `#` only the last one; `$share/group/` must
  /// be followed by a filter and the group has no wildcard.
  public static func isValidFilter(_ filter: String) -> Bool {
    guard !filter.isEmpty, filter.utf8.count <= 65_535, !filter.utf8.contains(0) else { return false }
    var levels = filter.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    if levels.first.map({ $0.elementsEqual("$share".utf8) }) == true {
      guard levels.count >= 3, !levels[1].isEmpty, !levels[1].contains(where: isWildcard) else {
        return false
      }
      levels.removeFirst(2)
      if levels.count == 1, levels[0].isEmpty { return false }
    }
    for (index, level) in levels.enumerated() where level.contains(where: isWildcard) {
      guard level.count == 1 else { return false }
      if level.first == UInt8(ascii: "#"), index != levels.count - 1 { return false }
    }
    return true
  }

  private static func isWildcard(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "+") || byte == UInt8(ascii: "#")
  }
}

extension MQTTMessage {
  /// Why it cannot be sent, if it cannot.
  var fault: MQTTError? {
    guard MQTTTopic.isValid(topic) else { return .invalidTopic }
    guard payload.count <= 268_435_455 else { return .invalidMessage("payload too long") }
    if properties.isEmpty { return nil }
    if let data = properties.correlationData, data.count > 65_535 {
      return .invalidMessage("correlation data too long")
    }
    if let topic = properties.responseTopic, !MQTTTopic.isValid(topic) {
      return .invalidMessage("response topic")
    }
    if let type = properties.contentType, !Self.isText(type) { return .invalidMessage("content type") }
    for (name, value) in properties.userProperties where !Self.isText(name) || !Self.isText(value) {
      return .invalidMessage("user property")
    }
    return nil
  }

  private static func isText(_ text: String) -> Bool {
    text.utf8.count <= 65_535 && !text.utf8.contains(0)
  }
}

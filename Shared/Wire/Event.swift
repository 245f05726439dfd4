import FoundationEssentials

/// One record for a Kafka topic, before it has left: a row of an outbox, or what the bridge publishes.
///
/// On the wire it is a CloudEvent 1.0 in binary mode. A class, since it is handed on from list to list on its way, and each copy
/// would retain all that it holds.
public final class Event: Sendable {
  /// Where it goes.
  public let topic: KafkaTopic
  /// The Kafka key: the deviceId, or for entities kind and id.
  public let key: String
  /// The CloudEvents type, such as `martlet.command.created`.
  public let type: String
  /// JSON; nil is a tombstone that removes the key from a compacted topic.
  public let payload: [UInt8]?
  /// The story it belongs to.
  public let traceparent: String?
  /// When it happened, if that is not when it is published.
  public let time: Date?

  public init(
    topic: KafkaTopic, key: String, type: String, payload: [UInt8]?, traceparent: String?, time: Date? = nil
  ) {
    self.topic = topic
    self.key = key
    self.type = type
    self.payload = payload
    self.traceparent = traceparent
    self.time = time
  }

  public convenience init(topic: KafkaTopic, key: String, type: String, json: JSON, traceparent: String?) {
    self.init(topic: topic, key: key, type: type, payload: json.bytes, traceparent: traceparent)
  }
}

extension Event {
  /// Whether the next step waits for it: what services and devices act on. What only tells of a step may gather.
  public var isUrgent: Bool {
    !topic.onlyTells && type != Downlink.receiptType
  }
}

/// The names of the Kafka headers (CloudEvents 1.0, Kafka binding, binary mode).
public enum EventHeader {
  public static let specVersion = "ce_specversion"
  public static let id = "ce_id"
  public static let source = "ce_source"
  public static let type = "ce_type"
  public static let time = "ce_time"
  public static let contentType = "content-type"
  public static let traceparent = "traceparent"
}

extension Event {
  /// What could not be understood, set aside with where it came from and why.
  /// - Parameters:
  ///   - origin: the Kafka topic, partition and offset, or the MQTT topic.
  ///   - payload: as it came; kept as text where it is UTF-8, as base64 where not.
  public static func deadLetter(origin: String, key: String, reason: String, payload: [UInt8]) -> Event {
    let kept = payload.prefix(64 * 1024)
    let text = String(validating: kept, as: UTF8.self)
    return Event(
      topic: .deadLetter, key: key, type: "martlet.deadLetter",
      json: [
        "origin": .string(origin), "reason": .string(reason), "encoding": text == nil ? "base64" : "utf-8",
        "payload": .string(text ?? Data(kept).base64EncodedString()), "size": .int(Int64(payload.count)),
      ], traceparent: nil)
  }
}

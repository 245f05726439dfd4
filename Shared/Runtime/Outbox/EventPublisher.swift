import FoundationEssentials
import Kafka
import Wire

/// Turns events into Kafka records: CloudEvents 1.0, binary mode.
public struct EventEncoder: Sendable {
  /// The CloudEvents source, such as `/martlet/commands`.
  public let source: String

  public init(service: String) { source = "/martlet/\(service)" }

  /// - Parameters:
  ///   - id: with `source` unique; a record that is sent again has the same.
  ///   - time: when it happened.
  public func message(_ event: Event, id: String, time: Date) -> KafkaProducerMessage {
    var headers = [
      KafkaHeader(EventHeader.specVersion, "1.0"), KafkaHeader(EventHeader.id, id),
      KafkaHeader(EventHeader.source, source), KafkaHeader(EventHeader.type, event.type),
      KafkaHeader(EventHeader.time, time.rfc3339), KafkaHeader(EventHeader.contentType, "application/json"),
    ]
    if let traceparent = event.traceparent {
      headers.append(KafkaHeader(EventHeader.traceparent, traceparent))
    }
    return KafkaProducerMessage(
      topic: event.topic.rawValue, key: Array(event.key.utf8), value: event.payload, headers: headers)
  }
}

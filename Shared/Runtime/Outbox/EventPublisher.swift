import FoundationEssentials
import Kafka
import Wire

/// Turns events into Kafka records: CloudEvents 1.0, binary mode.
public struct EventEncoder: Sendable {
  /// The CloudEvents source, such as `/martlet/commands`.
  public let source: String
  /// The headers that every record has, made once: each holds its bytes on the heap.
  private let before: [KafkaHeader]
  private let contentType = KafkaHeader(EventHeader.contentType, "application/json")

  public init(service: String) {
    source = "/martlet/\(service)"
    before = [KafkaHeader(EventHeader.specVersion, "1.0"), KafkaHeader(EventHeader.source, source)]
  }

  /// - Parameters:
  ///   - id: with `source` unique; a record that is sent again has the same.
  ///   - time: when it happened.
  public func message(_ event: Event, id: String, time: Date) -> KafkaProducerMessage {
    message(event, id: id, time: KafkaHeader(EventHeader.time, time.rfc3339))
  }

  /// The same for many records.
  /// - Parameters:
  ///   - time: when those happened that have no time of their own.
  ///   - id: gives each its id.
  public func messages(_ events: [Event], time: Date, id: () -> String) -> [KafkaProducerMessage] {
    // Most have the time of the one before: they were read together.
    var last = (time: time, header: KafkaHeader(EventHeader.time, time.rfc3339))
    return events.map { event in
      let happened = event.time ?? time
      if happened != last.time { last = (happened, KafkaHeader(EventHeader.time, happened.rfc3339)) }
      return message(event, id: id(), time: last.header)
    }
  }

  private func message(_ event: Event, id: String, time: KafkaHeader) -> KafkaProducerMessage {
    var headers: [KafkaHeader] = []
    headers.reserveCapacity(7)
    headers += before
    headers.append(KafkaHeader(EventHeader.id, id))
    headers.append(KafkaHeader(EventHeader.type, event.type))
    headers.append(time)
    headers.append(contentType)
    if let traceparent = event.traceparent {
      headers.append(KafkaHeader(EventHeader.traceparent, traceparent))
    }
    return KafkaProducerMessage(
      topic: event.topic.rawValue, key: Array(event.key.utf8), value: event.payload, headers: headers)
  }
}

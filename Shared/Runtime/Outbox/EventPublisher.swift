import FoundationEssentials
import Kafka
import Wire

/// Turns events into Kafka records: CloudEvents 1.0, binary mode.
public struct EventEncoder: Sendable {
  /// The CloudEvents source, such as `/martlet/commands`.
  public let source: String
  /// The headers that every record has.
  private let common: KafkaHeaders

  public init(service: String) {
    source = "/martlet/\(service)"
    common = [
      KafkaHeader(EventHeader.specVersion, "1.0"), KafkaHeader(EventHeader.source, source),
      KafkaHeader(EventHeader.contentType, "application/json"),
    ]
  }

  /// - Parameters:
  ///   - id: with `source` unique; a record that is sent again has the same.
  ///   - time: when it happened.
  public func message(_ event: Event, id: String, time: Date) -> KafkaProducerMessage {
    message(event, id: id, time: time.rfc3339)
  }

  /// The same for many records.
  /// - Parameter record: gives the event, its id and when it happened, by number.
  public func messages(_ count: Int, _ record: (Int) -> (event: Event, id: String, time: Date))
    -> [KafkaProducerMessage]
  {
    // Most have the time of the one before: they were read or stored together.
    var last = (time: Date.distantPast, text: "")
    return (0..<count).map { number in
      let (event, id, time) = record(number)
      if time != last.time { last = (time, time.rfc3339) }
      return message(event, id: id, time: last.text)
    }
  }

  private func message(_ event: Event, id: String, time: String) -> KafkaProducerMessage {
    var headers = common
    headers.reserve(320)
    headers.append(EventHeader.id, id)
    headers.append(EventHeader.type, event.type)
    headers.append(EventHeader.time, time)
    if let traceparent = event.traceparent { headers.append(EventHeader.traceparent, traceparent) }
    return KafkaProducerMessage(
      topic: event.topic.rawValue, key: Array(event.key.utf8), value: event.payload, headers: headers)
  }
}

import FoundationEssentials
import Kafka
import Wire

extension KafkaMessage {
  /// When it happened: what its CloudEvents header says, or when Kafka got it.
  public var eventTime: Date {
    header(EventHeader.time).flatMap { Date(rfc3339: $0) }
      ?? Date(timeIntervalSince1970: Double(timestamp) / 1000)
  }
}

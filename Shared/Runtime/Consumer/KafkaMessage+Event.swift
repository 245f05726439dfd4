import FoundationEssentials
import Kafka
import Wire

extension KafkaMessage {
  /// When it happened: what its CloudEvents header says, or when Kafka got it.
  public var eventTime: Date {
    headers.withValue(of: EventHeader.time) { Date(rfc3339: $0) }.flatMap(\.self)
      ?? Date(timeIntervalSince1970: Double(timestamp) / 1000)
  }

  /// What kind of uplink it is; nil for none that this version knows.
  public var uplinkKind: Uplink.Kind? {
    headers.withValue(of: EventHeader.type) { Uplink.Kind(utf8: $0) }.flatMap(\.self)
  }

  /// The deviceId that it is of, if it has one.
  public var keyText: String { key.map { String(decoding: $0, as: UTF8.self) } ?? "" }
}

import FoundationEssentials
import Kafka
import Wire

extension KafkaMessage {
  /// When it happened: what its CloudEvents header says, or when Kafka got it.
  public var eventTime: Date {
    headers.value(of: EventHeader.time).flatMap { $0.withUnsafeBytes { Date(rfc3339: $0) } }
      ?? Date(timeIntervalSince1970: Double(timestamp) / 1000)
  }

  /// What kind of uplink it is; nil for none that this version knows.
  public var uplinkKind: Uplink.Kind? {
    headers.value(of: EventHeader.type).flatMap { $0.withUnsafeBytes { Uplink.Kind(utf8: $0) } }
  }

  /// The same set aside, with where it stood and why.
  public func deadLetter(_ reason: String) -> Event {
    .deadLetter(
      origin: "\(topic)/\(partition)@\(offset)", key: keyText, reason: reason, payload: value ?? [])
  }

  /// Its key as text, mostly the deviceId that it is of; empty for none.
  public var keyText: String { key.map { String(decoding: $0, as: UTF8.self) } ?? "" }
}

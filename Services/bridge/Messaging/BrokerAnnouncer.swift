import Runtime
import Wire

/// Tells the services after each connection to the broker that it may have forgotten what it had not delivered.
final class BrokerAnnouncer: Service {
  /// The Kafka key: these records are of no device.
  static let key = "bridge"

  private let producer: ConfirmedProducer
  private let metrics: BridgeMetrics
  private let connected = Wakeup()

  init(producer: ConfirmedProducer, metrics: BridgeMetrics) {
    self.producer = producer
    self.metrics = metrics
  }

  /// Call it after each CONNACK.
  func brokerConnected() { connected.signal() }

  func run() async throws {
    while true {
      await connected.wait(atMost: .seconds(3600))
      try Task.checkCancellation()
      metrics.count(report: .brokerConnected)
      try await producer.send([Uplink.brokerConnected.event(deviceId: Self.key, traceparent: nil)])
    }
  }
}

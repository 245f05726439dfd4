import Loop
import Runtime
import Wire

/// Tells the services after each connection to the broker that it may have forgotten what it had not delivered.
final class BrokerAnnouncer: Service {
  /// The Kafka key: these records are of no device.
  static let key = "bridge"

  private let producer: ConfirmedProducer
  private let metrics: BridgeMetrics
  private let loop: EventLoop
  private let connected: Wakeup

  init(loop: EventLoop, producer: ConfirmedProducer, metrics: BridgeMetrics) {
    self.loop = loop
    connected = Wakeup(loop)
    self.producer = producer
    self.metrics = metrics
  }

  /// Call it after each CONNACK.
  func brokerConnected() { connected.signal() }

  func run() async throws {
    // Kafka may be away: ending does not wait for it.
    let work = loop.task(throwing: { [self] in
      while !Task.isCancelled {
        await connected.wait()
        if !Task.isCancelled { try await announce() }
      }
    })
    defer { work.cancel() }
    while true { try await loop.sleep(for: .seconds(3600)) }
  }

  private func announce() async throws {
    metrics.count(report: .brokerConnected)
    try await producer.send([Uplink.brokerConnected.event(deviceId: Self.key, traceparent: nil)])
  }
}

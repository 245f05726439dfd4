import BridgeDomain
import MQTT
import Observability
import Synchronization

/// Takes what the broker says of itself: every replica hears it, on the connection of its downlink.
final class BrokerWatch: Sendable {
  static let subscription = MQTTSubscription(BrokerStore.topic, qos: 0)

  private let store: Mutex<BrokerStore>
  private let bound: Int
  private let metrics: BridgeMetrics
  private let logger: Logger

  /// - Parameter bound: the broker's `max_queued_bytes`.
  init(bound: Int, metrics: BridgeMetrics, logger: Logger) {
    (self.bound, self.metrics, self.logger) = (bound, metrics, logger)
    store = Mutex(BrokerStore(bound: bound))
    metrics.brokerBound.set(Double(bound))
  }

  func received(_ message: MQTTMessage) {
    guard message.topic == BrokerStore.topic, let bytes = BrokerStore.bytes(message.payload) else { return }
    metrics.brokerStored.set(Double(bytes))
    let values = ["storedBytes": "\(bytes)", "boundBytes": "\(bound)"]
    switch store.withLock({ $0.stores(bytes) }) {
    case .filling: logger.warning("the broker has stored more than half of what it may keep", values)
    case .relieved: logger.notice("the broker has room again", values)
    case nil: break
    }
  }
}

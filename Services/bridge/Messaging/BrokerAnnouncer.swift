import Loop
import Runtime
import Wire

/// Tells the services after each connection to the broker that it may have forgotten what it had not delivered.
///
/// The announcement's place in Kafka is the connection's epoch: commands that were handed over before it are given back, since
/// the commands service decides anew which go first (decision 16).
actor BrokerAnnouncer: Service {
  /// The Kafka key: these records are of no device, and all in one partition.
  static let key = "bridge"

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let producer: ConfirmedProducer
  private let metrics: BridgeMetrics
  private let connected: Wakeup
  /// Called when a connection's epoch is known.
  private var onEpoch: @Sendable () -> Void = {}
  private var connections = 0
  private var known: (connection: Int, epoch: Int64)?

  init(loop: EventLoop, producer: ConfirmedProducer, metrics: BridgeMetrics) {
    self.loop = loop
    connected = Wakeup(loop)
    self.producer = producer
    self.metrics = metrics
  }

  /// The present connection's epoch; nil until Kafka has its announcement.
  var epoch: Int64? { known?.connection == connections ? known?.epoch : nil }

  /// - Parameter body: called each time that `epoch` has become known.
  func whenKnown(_ body: @escaping @Sendable () -> Void) { onEpoch = body }

  /// Call it on the loop at each CONNACK.
  nonisolated func brokerConnected() {
    assumeIsolated {
      $0.connections += 1
      $0.connected.signal()
    }
  }

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
    let connection = connections
    let epoch = try await producer.place(
      of: Uplink.brokerConnected.event(deviceId: Self.key, traceparent: nil))
    known = (connection, epoch)
    onEpoch()
  }
}

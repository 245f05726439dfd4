import BridgeDomain
import Loop
import MQTT
import Observability
import Runtime
import Wire

/// The connection on which the bridge publishes to devices.
final class DownlinkSession: Sendable {
  /// What became of one publication.
  enum Attempt: Sendable {
    case answered(PublicationOutcome)
    /// The connection is not there, or went before the broker's answer.
    case unanswered
    /// It could not even be written.
    case failed
  }

  private let session: MQTTSession
  private let connected: Wakeup

  /// - Parameters:
  ///   - watch: hears what the broker says of itself.
  ///   - onConnect: called after each CONNACK.
  init(
    loop: EventLoop, configuration: MQTTConfiguration, watch: BrokerWatch, logger: Logger,
    onConnect: @escaping @Sendable () -> Void
  ) {
    connected = Wakeup(loop)
    session = MQTTSession(
      configuration: configuration, loop: loop, subscriptions: [BrokerWatch.subscription], logger: logger,
      onMessage: { watch.received($0) },
      onState: { [connected] state in
        guard case .connected = state else { return }
        connected.signal()
        onConnect()
      })
  }

  var isConnected: Bool { session.isConnected }

  func start() { session.start() }

  /// Writes all of them, then waits for all answers; one for each, in order.
  func publish(_ publications: [Publication]) async -> [Attempt] {
    let results = await session.publish(publications.map(MQTTMessage.init))
    return results.map { result in
      switch result {
      case .success(.accepted): .answered(.accepted)
      case .success(.noMatchingSubscribers): .answered(.noSubscriber)
      case .success(.refused): .answered(.refused)
      case .failure(.notConnected), .failure(.connectionLost), .failure(.cancelled): .unanswered
      case .failure(.invalidTopic), .failure(.invalidMessage): .answered(.refused)
      case .failure: .failed
      }
    }
  }

  /// Waits for the connection to come back, or until the time is up.
  func waitForConnection(atMost limit: Duration) async { await connected.wait(atMost: limit) }

  /// Ends a wait.
  func wake() { connected.signal() }

  func end() async { await session.disconnect(timeout: .seconds(1)) }
}

extension MQTTMessage {
  /// A publication as it goes to the broker.
  init(_ publication: Publication) {
    let isOwn = publication.command.map { $0.responseTopic == nil } ?? false
    var properties = isOwn ? MQTTProperties() : MQTTProperties(contentType: "application/json")
    if let command = publication.command {
      properties.correlationData = command.correlation
      properties.responseTopic = command.responseTopic
      properties.messageExpiry = command.expirySeconds
    }
    if let traceparent = publication.traceparent {
      properties.userProperties = [(EventHeader.traceparent, traceparent)]
    }
    self.init(
      topic: publication.topic, payload: publication.payload, retain: publication.retain,
      properties: properties)
  }
}

import Loop
import MQTT
import Observability
import Synchronization
import TestSupport
import Threads

/// One loop with sessions whose messages and states are kept, for the tests.
final class Bench: Sendable {
  let server: MosquittoServer
  let loop: EventLoop
  let log = LogCapture()
  let logger: Logger

  init(_ server: MosquittoServer) {
    self.server = server
    logger = Logger(label: "mqtt-tests", level: .trace, output: log)
    loop = EventLoop.start("mqtt-test")
  }

  deinit { loop.shutdown() }

  func configuration(_ name: String) -> MQTTConfiguration {
    MQTTConfiguration(host: server.host, port: server.port, clientId: "\(name)-\(Self.unique())")
  }

  /// A session that was started.
  func session(
    _ name: String, subscriptions: [MQTTSubscription] = [],
    change: (inout MQTTConfiguration) -> Void = { _ in }
  ) -> Probe {
    var configuration = configuration(name)
    change(&configuration)
    return Probe(configuration, loop: loop, subscriptions: subscriptions, logger: logger)
  }

  /// A session that is connected.
  func connected(
    _ name: String, subscriptions: [MQTTSubscription] = [],
    change: (inout MQTTConfiguration) -> Void = { _ in }
  ) async throws -> Probe {
    let probe = session(name, subscriptions: subscriptions, change: change)
    try await eventually("\(name) connects") { probe.session.isConnected }
    return probe
  }

  /// A topic or name that no other test uses.
  static func unique() -> String { "\(counter.wrappingAdd(1, ordering: .relaxed).newValue)" }
  private static let counter = Atomic(0)
}

/// A session with everything that it received.
final class Probe: Sendable {
  let configuration: MQTTConfiguration
  let session: MQTTSession
  private let kept: Kept

  private final class Kept: Sendable {
    let messages = Locked<[MQTTMessage]>([])
    let states = Locked<[MQTTSessionState]>([])
  }

  init(
    _ configuration: MQTTConfiguration, loop: EventLoop, subscriptions: [MQTTSubscription], logger: Logger
  ) {
    self.configuration = configuration
    let kept = Kept()
    self.kept = kept
    session = MQTTSession(
      configuration: configuration, loop: loop, subscriptions: subscriptions, logger: logger,
      onMessage: { message in kept.messages.withLock { $0.append(message) } },
      onState: { state in kept.states.withLock { $0.append(state) } })
    session.start()
  }

  var messages: [MQTTMessage] { kept.messages.withLock { $0 } }
  var texts: [String] { messages.map { String(decoding: $0.payload, as: UTF8.self) } }
  var states: [MQTTSessionState] { kept.states.withLock { $0 } }
}

extension MQTTMessage {
  init(_ topic: String, _ text: String, qos: MQTTQoS = 1, retain: Bool = false) {
    self.init(topic: topic, payload: Array(text.utf8), qos: qos, retain: retain)
  }
}

/// A flag that tasks share.
final class Flag: Sendable {
  private let value = Atomic(false)
  var isSet: Bool { value.load(ordering: .acquiring) }
  func set() { value.store(true, ordering: .releasing) }
}

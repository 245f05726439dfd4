import FoundationEssentials
import Loop
import MQTT
import Observability
import Runtime

/// The broker, and an account that may use any topic.
struct MqttBenchSettings: Sendable {
  let host: String
  let port: Int
  let user: String
  let password: String

  init(_ settings: inout SettingsReader) {
    host = settings.string("mqtt-host", default: "127.0.0.1", help: "The MQTT broker.")
    port = settings.int("mqtt-port", default: 1883, in: 1...65535, help: "Its port.")
    user = settings.string("mqtt-sim-user", default: "simulator", help: "An account that may use any topic.")
    password = settings.secret("mqtt-sim-password", help: "Its password.")
  }

  /// A session that is connected.
  func session(
    _ name: String, _ topics: [String], on loop: EventLoop, _ logger: Logger,
    onMessage: @escaping @Sendable (MQTTMessage) -> Void = { _ in }
  ) async throws -> MQTTSession {
    let session = MQTTSession(
      configuration: MQTTConfiguration(
        host: host, port: port, clientId: "martlet-bench-\(name)", username: user, password: password),
      loop: loop, subscriptions: topics.map { MQTTSubscription($0) }, logger: logger, onMessage: onMessage)
    session.start()
    while !session.isConnected { try await loop.sleep(for: .milliseconds(10)) }
    return session
  }
}

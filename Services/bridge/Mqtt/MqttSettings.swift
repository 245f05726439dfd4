import BridgeDomain
import MQTT
import Runtime
import Wire

/// Where the broker is, and as whom.
public struct MqttSettings: Sendable {
  public let host: String
  public let port: Int
  public let user: String
  public let password: String
  /// What all client ids begin with.
  public let clientPrefix: String
  /// The broker's `max_queued_bytes`.
  public let queueBytes: Int
  /// As `deploy/mosquitto` has it; docs/operations.md says what it is good for.
  public static let defaultQueueBytes = 256 << 20

  public init(_ settings: inout SettingsReader) {
    host = settings.string("mqtt-host", default: "127.0.0.1", help: "The MQTT broker.")
    port = settings.int("mqtt-port", default: 1883, in: 1...65535, help: "The MQTT broker's port.")
    user = settings.string(
      "mqtt-user", default: "bridge", help: "The bridge's account at the broker, which sees all.")
    password = settings.secret("mqtt-password", help: "The password of that account.")
    clientPrefix = settings.string(
      "mqtt-client-prefix", default: "martlet",
      help: "What the bridge's client ids begin with; two stacks on one broker need different ones.")
    queueBytes = settings.int(
      "mqtt-queue-bytes", default: Self.defaultQueueBytes, in: 1...Int.max,
      help: "The broker's max_queued_bytes: beyond it the broker drops what devices send.")
  }

  /// How long the broker keeps what devices sent while no bridge is there.
  private static let sessionExpiry: UInt32 = 7 * 86_400

  /// A session that outlives its connection.
  func uplink(_ name: UplinkSessionName) -> MQTTConfiguration {
    MQTTConfiguration(
      host: host, port: port, clientId: clientId(name), username: user, password: password,
      cleanStart: false, sessionExpiry: Self.sessionExpiry, keepAlive: 10)
  }

  private func clientId(_ name: UplinkSessionName) -> String {
    switch name {
    case .uplink(let known): "\(clientPrefix)-uplink-\(known.rawValue)"
    // As it was when replicas shared all topics; there was no prefix then.
    case .slot(let number): "martlet-bridge-\(number)-up"
    }
  }

  /// What a session subscribes to.
  /// - Parameter answers: where devices with protocols of their own answer, which goes with `status`.
  static func subscriptions(_ name: UplinkSessionName, answers: [String]) -> [MQTTSubscription] {
    switch name {
    // What is retained comes once, when the session is new, and not each time that somebody takes it over.
    case .uplink(let known):
      (known.topics.map(\.filter) + (known == .status ? answers : [])).map {
        MQTTSubscription($0, retained: .ifNew)
      }
    // What there was then.
    case .slot:
      DeviceTopic.uplinks.filter { $0 != .artefactGet }.map {
        MQTTSubscription("$share/martlet/\($0.filter)")
      }
    }
  }

  /// The downlink of one replica: it only publishes, and what it has not heard back of it publishes again; so the broker
  /// has nothing to keep, and nobody has to take it over.
  func downlink(replica: String) -> MQTTConfiguration {
    MQTTConfiguration(
      host: host, port: port, clientId: "\(clientPrefix)-downlink-\(replica)", username: user,
      password: password, cleanStart: true, sessionExpiry: 0, keepAlive: 10)
  }
}

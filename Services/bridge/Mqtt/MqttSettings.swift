import MQTT
import Runtime

/// Where the broker is, and as whom.
public struct MqttSettings: Sendable {
  public let host: String
  public let port: Int
  public let user: String
  public let password: String

  public init(_ settings: inout SettingsReader) {
    host = settings.string("mqtt-host", default: "127.0.0.1", help: "The MQTT broker.")
    port = settings.int("mqtt-port", default: 1883, in: 1...65535, help: "The MQTT broker's port.")
    user = settings.string(
      "mqtt-user", default: "bridge", help: "The bridge's account at the broker, which sees all.")
    password = settings.secret("mqtt-password", help: "The password of that account.")
  }

  /// How long the broker keeps what devices sent while no bridge is there.
  private static let sessionExpiry: UInt32 = 7 * 86_400

  /// The uplink of one slot: a session that outlives its connection.
  func uplink(slot: Int) -> MQTTConfiguration {
    MQTTConfiguration(
      host: host, port: port, clientId: "martlet-bridge-\(slot)-up", username: user, password: password,
      cleanStart: false, sessionExpiry: Self.sessionExpiry, keepAlive: 10)
  }

  /// The downlink of one process: it only publishes, and what it has not heard back of it publishes again.
  func downlink(replica: String) -> MQTTConfiguration {
    MQTTConfiguration(
      host: host, port: port, clientId: "martlet-bridge-\(replica)-down", username: user, password: password,
      cleanStart: true, sessionExpiry: 0, keepAlive: 10)
  }
}

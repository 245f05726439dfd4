/// How to reach Kafka; shared by producers, consumers and admin clients.
public struct KafkaConfiguration: Sendable, CustomStringConvertible {
  /// `host:port`, several separated by commas.
  public var bootstrapServers: String
  /// The name that the broker's logs and quotas know this client by.
  public var clientId: String
  /// librdkafka's own settings (`security.protocol`, `ssl.ca.location`, `linger.ms`, …); they win over ours.
  public var extra: [String: String]

  /// - Parameters:
  ///   - bootstrapServers: `host:port`, several separated by commas.
  ///   - clientId: the client's name at the broker.
  ///   - extra: librdkafka settings that win over the wrapper's.
  public init(bootstrapServers: String, clientId: String, extra: [String: String] = [:]) {
    self.bootstrapServers = bootstrapServers
    self.clientId = clientId
    self.extra = extra
  }

  /// Server and client name only: `extra` may hold passwords.
  public var description: String { "Kafka at \(bootstrapServers) as \(clientId)" }
}

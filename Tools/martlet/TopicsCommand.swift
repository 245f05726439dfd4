import Kafka
import Loop
import Observability
import Runtime
import Wire

/// `martlet topics create`.
enum TopicsCommand {
  private struct Settings: Sendable {
    let bootstrap: String
    let replication: Int
    let partitions: Int
  }

  private static let usage = """
    Works on the suite's Kafka topics.

    Usage: martlet topics create --bootstrap host:port [--replication count] [--partitions count]

    `martlet topics create --help` explains the settings.

    """

  static func run(_ arguments: [String]) {
    switch arguments.first {
    case "create": create(Array(arguments.dropFirst()))
    case "--help", "-h": Program.print(usage)
    default: Program.fail(usage, status: 64)
    }
  }

  private static func create(_ arguments: [String]) {
    Program.run(
      "martlet topics create",
      about: "Creates the suite's Kafka topics; those that exist stay as they are.", arguments: arguments,
      settings: { reader in
        Settings(
          bootstrap: reader.string("bootstrap", help: "Kafka's addresses: host:port, host:port."),
          replication: reader.int(
            "replication", default: 1, in: 1...32, help: "How many brokers hold each partition."),
          partitions: reader.int(
            "partitions", default: KafkaTopic.partitions, in: 1...256,
            help:
              "Of each topic: so many replicas of a service can share it. Each costs requests; choose before the first start."
          ))
      },
      body: { try await create($0, on: $1) })
  }

  private static func create(_ settings: Settings, on loop: EventLoop) async throws {
    let admin = try KafkaAdmin(
      configuration: KafkaConfiguration(bootstrapServers: settings.bootstrap, clientId: "martlet-topics"),
      loop: loop, logger: Logger(label: "topics", level: .error))
    let existing = try await admin.topics(timeout: .seconds(30))
    try await admin.createTopics(
      KafkaTopic.allCases.map { topic in
        KafkaNewTopic(
          name: topic.rawValue, partitions: settings.partitions, replication: settings.replication,
          config: topic.configuration)
      })
    for topic in KafkaTopic.allCases {
      switch existing[topic.rawValue] {
      case nil: Program.print("created  \(topic.rawValue)")
      case settings.partitions?: Program.print("exists   \(topic.rawValue)")
      case let partitions?:
        Program.print(
          "exists   \(topic.rawValue), with \(partitions) partitions, not \(settings.partitions)")
      }
    }
    await admin.shutdown()
  }
}

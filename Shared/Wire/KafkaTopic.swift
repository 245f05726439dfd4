/// Every Kafka topic of the suite: its name and how it is kept.
public enum KafkaTopic: String, Sendable, CaseIterable {
  /// What the other services must know of the registry; compacted, keyed by kind and id.
  case registryEntities = "martlet.registry.entities"
  /// Public: what happened in the registry.
  case registryEvents = "martlet.registry.events"
  /// Public: what happened to commands.
  case commandsEvents = "martlet.commands.events"
  /// Public: what happened to configurations.
  case configEvents = "martlet.config.events"
  /// What the bridge shall publish to devices.
  case deviceDownlink = "martlet.device.downlink"
  /// What devices said, and what became of downlinks.
  case deviceUplink = "martlet.device.uplink"
  /// What could not be understood, with the reason.
  case deadLetter = "martlet.dead-letter"
  /// Which devices a service asks the registry for.
  case deviceSelection = "martlet.device.selection"
  /// The registry's answers, in pages.
  case deviceSelected = "martlet.device.selected"
  /// Bindings that commands ask config for.
  case configRequests = "martlet.config.requests"
  /// When API keys were last used elsewhere than at the registry.
  case keyUses = "martlet.registry.key-uses"

  /// Of each topic, unless they are made otherwise: so many replicas of a service share it, each good for thousands of commands a
  /// second. A window's records go to Kafka in a request for each partition: with 12 of them the broker took 58 µs of CPU for
  /// a command's life, with 6 of them 45, with 4 of them 40.
  public static let partitions = 6

  /// Its place among all, for tables by topic.
  public var number: Int {
    switch self {
    case .registryEntities: 0
    case .registryEvents: 1
    case .commandsEvents: 2
    case .configEvents: 3
    case .deviceDownlink: 4
    case .deviceUplink: 5
    case .deadLetter: 6
    case .deviceSelection: 7
    case .deviceSelected: 8
    case .configRequests: 9
    case .keyUses: 10
    }
  }

  /// Whether its records only tell of what happened: no service and no device of the suite acts on them.
  public var onlyTells: Bool {
    switch self {
    case .registryEvents, .commandsEvents, .configEvents, .deadLetter: true
    case .registryEntities, .deviceDownlink, .deviceUplink, .deviceSelection, .deviceSelected,
      .configRequests, .keyUses:
      false
    }
  }

  /// The largest record: a request body of 1 MiB, and what is put round it.
  public static let maximumRecordBytes = 2 * 1024 * 1024

  /// The topic's configuration at the broker.
  public var configuration: [String: String] {
    let day = 86_400_000
    var configuration =
      switch self {
      // No tombstone is written (decision 14); those of earlier versions stay long enough for a service that was stopped.
      case .registryEntities: ["cleanup.policy": "compact", "delete.retention.ms": "\(30 * day)"]
      case .registryEvents, .commandsEvents, .configEvents: ["retention.ms": "\(7 * day)"]
      case .deviceDownlink, .deviceUplink, .deviceSelection, .deviceSelected, .configRequests, .keyUses:
        ["retention.ms": "\(3 * day)"]
      case .deadLetter: ["retention.ms": "\(30 * day)"]
      }
    configuration["max.message.bytes"] = "\(Self.maximumRecordBytes)"
    return configuration
  }
}

import Kafka
import Loop
import Observability
import Synchronization
import Wire

/// The service's one member of its Kafka group, which reads for all of its batch consumers: made with the first that
/// runs, for the topics that were named until then, and closed with the last.
final class GroupMember: Sendable {
  private struct Reader {
    let gathering: Duration?
    let startOffsets: @Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64]
  }

  private struct State {
    var readers: [String: Reader] = [:]
    var running = 0
    var consumer: KafkaConsumer?
  }

  /// What consumers look at.
  private static let headers = [EventHeader.type, EventHeader.time, EventHeader.traceparent]

  private let configuration: KafkaConfiguration
  private let loop: EventLoop
  private let group: String
  private let instance: String
  private let logger: Logger
  private let state = Mutex(State())

  /// - Parameter instance: a stable name of this replica, so that a restart takes its partitions back at once.
  init(
    service: String, instance: String, loop: EventLoop, configuration: KafkaConfiguration, logger: Logger
  ) {
    (self.loop, self.configuration, self.logger) = (loop, configuration, logger)
    group = "martlet-\(service)"
    self.instance = "\(group)-\(instance)"
  }

  /// Has a topic read. Before anything runs.
  func read(
    _ topic: String, gathering: Duration?,
    from startOffsets: @escaping @Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64]
  ) {
    state.withLock { $0.readers[topic] = Reader(gathering: gathering, startOffsets: startOffsets) }
  }

  /// Whether any partition of that topic is this member's now.
  func has(_ topic: String) -> Bool {
    state.withLock(\.consumer)?.assignment.contains { $0.topic == topic } ?? false
  }

  /// The client, for one of those that read; to be ended by it.
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  func begin() throws -> KafkaConsumer {
    try state.withLock { state in
      let consumer = try state.consumer ?? make(state.readers)
      state.consumer = consumer
      state.running += 1
      return consumer
    }
  }

  func end() async {
    let last = state.withLock { state in
      state.running -= 1
      return state.running == 0 ? state.consumer.take() : nil
    }
    await last?.close(timeout: .seconds(2))
  }

  private func make(_ readers: [String: Reader]) throws -> KafkaConsumer {
    let topics = readers.keys.sorted()
    // A member that comes again under its name within its session gets what it had, whatever it subscribes to now: one of a
    // version that reads other topics is another member, or the new ones would be nobody's.
    let name = "\(instance)-\(String(topics.joined(separator: " ").fnv1a(), radix: 16))"
    return try KafkaConsumer(
      configuration: configuration, loop: loop, group: group, instanceId: name, topics: topics,
      headers: Self.headers, fetchWait: readers.values.compactMap(\.gathering).min() ?? .zero, logger: logger,
      startOffsets: { partitions in
        var offsets: [KafkaPartition: Int64] = [:]
        for (topic, partitions) in Dictionary(grouping: partitions, by: \.topic) {
          offsets.merge(try await readers[topic]?.startOffsets(partitions) ?? [:]) { $1 }
        }
        return offsets
      })
  }
}

import FoundationEssentials
import Kafka
import Loop
import Observability
import Synchronization
import Wire

/// Sees commands reach SUCCESS on the public topic, which tells when it was stored.
final class SuccessWatcher: Sendable {
  private enum Entry {
    case waiting(CheckedContinuation<Date, any Error>)
    case done(Date)
  }

  private let consumer: KafkaConsumer
  private let entries = Mutex<[String: Entry]>([:])

  init(kafka: String, loop: EventLoop, logger: Logger) async throws {
    let configuration = KafkaConfiguration(bootstrapServers: kafka, clientId: "martlet-bench")
    let topic = KafkaTopic.commandsEvents.rawValue
    let admin = try KafkaAdmin(configuration: configuration, loop: loop, logger: logger)
    let ends = try await admin.endOffsets(topic: topic, timeout: .seconds(5))
    await admin.shutdown()
    consumer = try KafkaConsumer(
      configuration: configuration, loop: loop, group: "martlet-bench-\(Identifier.randomDeviceId())",
      instanceId: nil,
      topics: [topic], logger: logger,
      startOffsets: { partitions in
        Dictionary(uniqueKeysWithValues: partitions.map { ($0, ends[$0.partition] ?? 0) })
      })
  }

  func ready() async throws {
    while consumer.assignment.isEmpty { try await Task.sleep(for: .milliseconds(20)) }
  }

  func run() async throws {
    while true {
      for message in try await consumer.nextBatch(maximumCount: 1000, wait: .seconds(1)) {
        guard message.header(EventHeader.type) == "martlet.command.succeeded", let value = message.value,
          let id = try JSON(parsing: value)["commandId"]?.string
        else { continue }
        let stored = message.eventTime
        let waiter = entries.withLock { entries -> CheckedContinuation<Date, any Error>? in
          if case .waiting(let continuation) = entries.removeValue(forKey: id) { return continuation }
          entries[id] = .done(stored)
          return nil
        }
        waiter?.resume(returning: stored)
      }
    }
  }

  /// Waits until that command's SUCCESS is told.
  /// - Returns: when it was stored: the time of the row that tells of it, written with the commit.
  /// - Throws: `NoSuccess` after 60 s.
  func success(of id: String) async throws -> Date {
    let timer = Task {
      try await Task.sleep(for: .seconds(60))
      if case .waiting(let continuation) = self.entries.withLock({ $0.removeValue(forKey: id) }) {
        continuation.resume(throwing: NoSuccess(id: id))
      }
    }
    defer { timer.cancel() }
    return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Date, any Error>) in
      let stored = entries.withLock { entries -> Date? in
        if case .done(let stored) = entries.removeValue(forKey: id) { return stored }
        entries[id] = .waiting(continuation)
        return nil
      }
      if let stored { continuation.resume(returning: stored) }
    }
  }
}

struct NoSuccess: Error, CustomStringConvertible {
  let id: String
  var description: String { "command \(id) did not reach SUCCESS within 60 s" }
}

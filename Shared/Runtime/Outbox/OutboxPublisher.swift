import FoundationEssentials
import Kafka
import Observability
import Wire

/// Hands batches of an outbox to Kafka and says what became of them.
struct OutboxPublisher: Sendable {
  let producer: KafkaProducer
  let encoder: EventEncoder
  let logger: Logger
  let published: Counter

  /// - Returns: for each, whether Kafka has it; or the dead-letter topic, for what no broker will ever take.
  func publish(_ batch: [OutboxState.Entry]) async -> [Bool] {
    do {
      let deliveries = try await producer.send(
        encoder.messages(batch.count) { (batch[$0].event, Self.id(batch[$0]), batch[$0].createdAt) })
      var isDone: [Bool] = []
      isDone.reserveCapacity(batch.count)
      var count = 0
      for (entry, delivery) in zip(batch, deliveries) {
        if let error = delivery.error {
          isDone.append(await isSetAside(entry, error))
        } else {
          isDone.append(true)
          count += 1
        }
      }
      published.increment(by: count)
      return isDone
    } catch {
      // The producer has ended.
      return batch.map { _ in false }
    }
  }

  /// Unique with the source, and the same when the record is sent again.
  private static func id(_ entry: OutboxState.Entry) -> String { "\(entry.row)-\(entry.index)" }

  private func isSetAside(_ entry: OutboxState.Entry, _ error: KafkaError) async -> Bool {
    guard error.isOfTheMessage else {
      logger.warning(
        "not published yet", ["id": Self.id(entry), "type": entry.event.type, "error": "\(error)"])
      return false
    }
    logger.error(
      "set aside on the dead-letter topic",
      ["id": Self.id(entry), "type": entry.event.type, "error": "\(error)"])
    let letter = Event.deadLetter(
      origin: "outbox/\(Self.id(entry))", key: entry.event.key, reason: "\(entry.event.type): \(error)",
      payload: entry.event.payload ?? [])
    let deliveries = try? await producer.send([
      encoder.message(letter, id: Self.id(entry), time: entry.createdAt)
    ])
    return deliveries?.allSatisfy { $0.error == nil } ?? false
  }
}

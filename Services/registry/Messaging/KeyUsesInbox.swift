import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// What the registry hears of the uses of keys at the other services.
struct KeyUsesInbox: Sendable {
  static let consumer = "key-uses"

  /// For `BatchConsumer`: one batch, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var uses: [UUID: Date] = [:]
    for message in messages where message.header(EventHeader.type) == UsedKeys.type {
      do { uses.merge(try UsedKeys(payload: message.value ?? []).times) { max($0, $1) } } catch {
        result.reject(message, error)
      }
    }
    try await APIKeyTable(database: connection).used(uses)
    return result
  }
}

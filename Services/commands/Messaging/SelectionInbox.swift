import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// What the registry answers to the filters of campaigns.
struct SelectionInbox: Sendable {
  let service: CommandsService

  /// A page was missed: none comes again, and a campaign must not have a part of its devices.
  struct MissingPage: Error, CustomStringConvertible {
    let expected: Int
    let description: String
  }

  /// For `BatchConsumer`: one batch, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    for message in messages {
      guard message.header(EventHeader.type) == SelectedDevices.type else { continue }
      let page: SelectedDevices
      do { page = try SelectedDevices(payload: message.value ?? []) } catch {
        result.reject(message, error)
        continue
      }
      do { try await service.add(page, on: connection) } catch let error as MissingPage {
        result.reject(message, error)
      }
    }
    try await connection.afterCommit { [due = service.campaignsDue] in due.signal() }
    return result
  }
}

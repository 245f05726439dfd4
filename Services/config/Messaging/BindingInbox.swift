import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// Reads `martlet.config.requests`: keeps what commands ask for. `BindingRunner` does it.
struct BindingInbox: Sendable {
  let service: ConfigService

  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var asked: [BindingCommandStore.Asked] = []
    var withdrawn: [UUID] = []
    for message in messages {
      guard let type = message.header(EventHeader.type) else { continue }
      do {
        switch try ConfigRequest(type: type, payload: message.value ?? []) {
        case .bind(let request):
          asked.append(.init(request: request, traceparent: message.header(EventHeader.traceparent)))
        case .withdraw(let id): withdrawn.append(id)
        case nil: break
        }
      } catch { result.reject(message, error) }
    }
    try await service.keep(asked, withdrawn: withdrawn, connection)
    return result
  }
}

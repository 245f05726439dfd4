import Kafka
import Loop
import Observability
import Postgres
import Runtime
import Wire

/// Answers the filters of other services, with any number of replicas: each page is one transaction, and who comes next goes
/// on where that ended.
struct SelectionRunner: Service {
  private static let pause: Duration = .seconds(1)

  let registry: RegistryService
  let logger: Logger
  private let asked: Wakeup

  init(registry: RegistryService, loop: EventLoop, logger: Logger) {
    (self.registry, self.logger) = (registry, logger)
    asked = Wakeup(loop)
  }

  /// For `BatchConsumer`: one batch of requests, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var requests: [(request: SelectionRequest, traceparent: String?)] = []
    for message in messages where message.header(EventHeader.type) == SelectionRequest.type {
      do {
        requests.append(
          (try SelectionRequest(payload: message.value ?? []), message.header(EventHeader.traceparent)))
      } catch {
        result.reject(message, error)
      }
    }
    try await registry.select(requests, on: connection)
    try await connection.afterCommit { [asked] in asked.signal() }
    return result
  }

  func run() async throws {
    while true {
      try Task.checkCancellation()
      do {
        if try await registry.answerSelection() { continue }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      await asked.wait(atMost: Self.pause)
    }
  }
}

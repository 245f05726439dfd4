import Loop
import Observability
import Runtime

/// Sends documents again that the broker has not confirmed, and clears what deleted devices have left: what was missed is repaired by comparing, not by hoping
/// that an event arrives. Any number of replicas share the work: each leaves out what another has in hand.
struct DocumentSweeper: Service {
  private static let batch = 200
  private static let interval: Duration = .seconds(1)

  let service: ConfigService
  let loop: EventLoop
  let logger: Logger

  func run() async throws {
    while true {
      try await loop.sleep(for: Self.interval)
      do {
        while try await service.clearDeletedDevices(limit: Self.batch) == Self.batch {}
        let count = try await service.sendDue(limit: Self.batch)
        if count > 0 { logger.info("sent documents again", ["count": "\(count)"]) }
      } catch is CancellationError {
        throw CancellationError()
      } catch { logger.warning("the sweep failed, trying again", ["error": "\(error)"]) }
    }
  }
}

import FoundationEssentials
import Loop
import Observability
import Runtime

/// Forgets uploads that nobody completed, and deletes objects that nobody has any more; any number of replicas share the work.
struct ObjectSweeper: Service {
  private static let batch = 50

  let service: ConfigService
  let loop: EventLoop
  let logger: Logger
  var interval: Duration = .seconds(10)

  func run() async throws {
    while true {
      try await loop.sleep(for: interval)
      do {
        let now = Date.now
        while try await service.sweepUploads(at: now, limit: Self.batch) == Self.batch {}
        while try await service.deleteDroppedObjects(at: now, limit: Self.batch) == Self.batch {}
        try await service.objects.tidy(at: now)
      } catch is CancellationError {
        throw CancellationError()
      } catch { logger.warning("the sweep failed, trying again", ["error": "\(error)"]) }
    }
  }
}

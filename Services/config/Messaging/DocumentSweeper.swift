import Loop
import Observability
import Runtime

/// Sends documents again that the broker has not confirmed, clears what deleted devices and other targets have left, and forgets
/// old plans: what was missed is repaired by comparing, not by hoping that an event arrives. Any number of replicas share the work: each leaves out what another has in hand.
struct DocumentSweeper: Service {
  private static let batch = 200
  private static let interval: Duration = .seconds(1)
  /// All bindings are looked at by and by: few targets go in the moment in which they are bound.
  private static let orphansAtOnce = 10_000
  private static let orphanInterval: Duration = .seconds(10)

  let service: ConfigService
  let loop: EventLoop
  let logger: Logger

  func run() async throws {
    var nextPlans = ContinuousClock.now
    var (orphans, nextOrphans) = (ConfigService.OrphanScan(), ContinuousClock.now)
    while true {
      try await loop.sleep(untilTickOf: Self.interval)
      do {
        while try await service.clearDeletedDevices(limit: Self.batch) == Self.batch {}
        if .now >= nextPlans {
          nextPlans = .now + .seconds(3600)
          try await service.sweepPlans()
        }
        if .now >= nextOrphans {
          nextOrphans = .now + Self.orphanInterval
          let count = try await service.removeOrphans(&orphans, limit: Self.orphansAtOnce)
          if count > 0 { logger.notice("removed bindings of deleted targets", ["count": "\(count)"]) }
        }
        while try await service.doubtTheBroker(limit: Self.batch) == Self.batch {
          try Task.checkCancellation()
        }
        var count = 0
        repeat {
          try Task.checkCancellation()
          count = try await service.sendDue(limit: Self.batch)
          if count > 0 { logger.info("sent documents again", ["count": "\(count)"]) }
        } while count == Self.batch
      } catch is CancellationError {
        throw CancellationError()
      } catch { logger.warning("the sweep failed, trying again", ["error": "\(error)"]) }
    }
  }
}

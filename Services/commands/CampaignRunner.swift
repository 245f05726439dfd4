import Loop
import Observability
import Runtime

/// Does what is to be done for campaigns, a piece at a time, with any number of replicas: each piece is one transaction that
/// has its campaign locked, and who comes next begins where that ended.
struct CampaignRunner: Service {
  private static let pause: Duration = .milliseconds(300)
  /// Between two steps it rests for as long as the first one took, and so much at most: the busier the service is, the more of
  /// it is left to others.
  private static let longestRest: Duration = .milliseconds(250)

  let service: CommandsService
  let logger: Logger

  func run() async throws {
    while true {
      try Task.checkCancellation()
      var next = service.loop.tick(each: Self.pause)
      do {
        if let due = try await service.campaigns.nextRun() {
          if due <= 0 {
            let start = ContinuousClock.now
            let piece = try await service.stepCampaign()
            // Another replica may have it.
            next = .now + (piece == nil ? .milliseconds(20) : min(.now - start, Self.longestRest))
          } else {
            next = min(next, .now + .milliseconds(Int(due * 1000) + 1))
          }
        }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      await service.campaignsDue.wait(until: next)
    }
  }
}

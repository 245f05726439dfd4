import FoundationEssentials
import Loop
import Observability
import Runtime

/// Turns commands to TIMEOUT when their deadline passes, within a second and exactly once, with any number of replicas: each
/// takes rows that no other has locked.
struct DeadlineSweeper: Service {
  private static let pause: Duration = .milliseconds(200)
  private static let limit = 500

  let service: CommandsService
  let dispatcher: TurnDispatcher
  let logger: Logger
  let loop: EventLoop

  func run() async throws {
    while true {
      try Task.checkCancellation()
      do {
        let (looked, turns) = try await service.sweep(at: .now, limit: Self.limit)
        if turns { dispatcher.wake() }
        if looked == Self.limit { continue }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      try await loop.sleep(for: Self.pause)
    }
  }
}

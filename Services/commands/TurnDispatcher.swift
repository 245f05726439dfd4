import Loop
import Observability
import Runtime

/// Gives waiting commands their turn, in order for each device, with any number of replicas: each looks at devices that no
/// other has locked. It looks at what is due, however much waits.
struct TurnDispatcher: Service {
  private static let pause: Duration = .milliseconds(200)
  private static let limit = 200

  let service: CommandsService
  let logger: Logger
  private let early: Wakeup

  init(service: CommandsService, loop: EventLoop, logger: Logger) {
    early = Wakeup(loop)
    self.service = service
    self.logger = logger
  }

  /// Looks at once: something may go.
  func wake() { early.signal() }

  func run() async throws {
    while true {
      try Task.checkCancellation()
      do {
        let mustWalk = try await service.walk()
        if try await service.giveTurns(limit: Self.limit) == Self.limit || mustWalk { continue }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      await early.wait(atMost: Self.pause)
    }
  }
}

import Loop
import Observability
import Runtime
import Threads

/// Gives waiting commands their turn, in order for each device, with any number of replicas: each looks at devices that no
/// other has locked. It looks at what is due, however much waits.
struct TurnDispatcher: Service {
  private static let pause: Duration = .milliseconds(200)
  private static let limit = 200
  /// How often it looks for a walk that nobody has told it of: one that another replica began and did not end.
  private static let walkEach: Duration = .seconds(5)

  let service: CommandsService
  let logger: Logger
  private let early: Wakeup
  private let isLoss = Locked(true)

  init(service: CommandsService, loop: EventLoop, logger: Logger) {
    early = Wakeup(loop)
    self.service = service
    self.logger = logger
  }

  /// Looks at once: something may go.
  /// - Parameter afterLoss: the broker may have lost what it was given, of any device.
  func wake(afterLoss: Bool = false) {
    if afterLoss { isLoss.withLock { $0 = true } }
    early.signal()
  }

  func run() async throws {
    var nextWalk = ContinuousClock.now
    while true {
      try Task.checkCancellation()
      do {
        let isNews = isLoss.withLock { isLoss in
          defer { isLoss = false }
          return isLoss
        }
        if isNews || .now >= nextWalk {
          nextWalk = .now + (try await service.walk() ? Self.pause : Self.walkEach)
        }
        if try await service.giveTurns(limit: Self.limit) == Self.limit { continue }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      await early.wait(atMost: Self.pause)
    }
  }
}

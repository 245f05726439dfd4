import Loop
import Observability
import Runtime
import Threads

/// Gives waiting commands their turn, in order for each device, with any number of replicas: each looks at devices that no
/// other has locked. It looks at what is due, however much waits.
struct TurnDispatcher: Service {
  private static let pause: Duration = .milliseconds(300)
  private static let limit = 200
  /// How often it looks for a walk that nobody has told it of: one that another replica began and did not end.
  private static let walkEach: Duration = .seconds(5)

  let service: CommandsService
  let logger: Logger

  func run() async throws {
    var nextWalk = ContinuousClock.now
    while true {
      try Task.checkCancellation()
      do {
        if service.turns.takeLoss() || .now >= nextWalk {
          nextWalk = .now + (try await service.walk() ? Self.pause : Self.walkEach)
        }
        try await service.lookAgain(service.turns.takeFreed())
        if try await service.giveTurns(limit: Self.limit) == Self.limit { continue }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      await service.turns.wait(untilTickOf: Self.pause)
    }
  }
}

/// What a transaction has come to for what waits.
struct TurnNews: Sendable {
  /// Whether anything may go.
  var mayGo = false
  /// Devices of which an exclusive command has ended.
  var freed: Set<String> = []
}

/// The same, some of which is only known with what goes with the commit.
final class TurnsToCome: Sendable {
  private let news: Locked<TurnNews>

  init(_ news: TurnNews) { self.news = Locked(news) }

  func mayGo() { news.withLock { $0.mayGo = true } }

  /// After the commit.
  var value: TurnNews { news.withLock { $0 } }
}

/// Says that something may go that waited.
final class TurnSignal: Sendable {
  private let early: Wakeup
  private let isLoss = Locked(true)
  private let freed = Locked<Set<String>>([])

  init(_ loop: EventLoop) { early = Wakeup(loop) }

  /// - Parameter afterLoss: the broker may have lost what it was given, of any device.
  func raise(afterLoss: Bool = false) {
    if afterLoss { isLoss.withLock { $0 = true } }
    early.signal()
  }

  /// After the commit.
  func raise(_ news: TurnNews) {
    if !news.freed.isEmpty { freed.withLock { $0.formUnion(news.freed) } }
    if news.mayGo || !news.freed.isEmpty { raise() }
  }

  /// What is to be looked at again since this was last asked.
  func takeFreed() -> Set<String> {
    freed.withLock { freed in
      defer { freed = [] }
      return freed
    }
  }

  /// Whether the broker may have lost anything since this was last asked; at first it may.
  func takeLoss() -> Bool {
    isLoss.withLock { isLoss in
      defer { isLoss = false }
      return isLoss
    }
  }

  /// Until it is raised, or was since the last wait.
  func wait(untilTickOf pause: Duration) async { await early.wait(untilTickOf: pause) }
}

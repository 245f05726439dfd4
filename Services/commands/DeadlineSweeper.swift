import FoundationEssentials
import Loop
import Observability
import Runtime

/// Turns commands to TIMEOUT when their deadline passes, within a second and exactly once, and ends those of deleted devices,
/// with any number of replicas: each takes rows that no other has locked.
struct DeadlineSweeper: Service {
  private static let pause: Duration = .milliseconds(300)
  private static let limit = 500
  /// How often it looks at what is not urgent.
  private static let restEach: Duration = .seconds(1)
  /// Counting reads the table of what is open: 0.1 s where a million are.
  private static let measureEach: Duration = .seconds(15)

  let service: CommandsService
  let logger: Logger
  let loop: EventLoop

  func run() async throws {
    var nextRest = ContinuousClock.now
    var nextMeasure = ContinuousClock.now
    while true {
      try Task.checkCancellation()
      do {
        let (looked, turns) = try await service.sweep(limit: Self.limit)
        service.turns.raise(turns)
        if looked == Self.limit { continue }
        if .now >= nextRest {
          if try await service.endCommandsOfDeletedDevices(at: .now, limit: Self.limit) { continue }
          try await service.addUpCounts()
          nextRest = .now + Self.restEach
        }
        if .now >= nextMeasure {
          try await service.measureInvariants()
          nextMeasure = .now + Self.measureEach
        }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)"])
      }
      try await loop.sleep(untilTickOf: Self.pause)
    }
  }
}

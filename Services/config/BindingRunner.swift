import Loop
import Observability
import Runtime

/// Makes and drops the bindings that commands ask for, one after the other, with any number of replicas: each takes one of a
/// device of which no other has one in hand.
struct BindingRunner: Service {
  /// How long what another replica has kept may wait unseen.
  private static let pause: Duration = .milliseconds(500)

  let service: ConfigService
  let logger: Logger

  func run() async throws {
    var nextSweep = ContinuousClock.now
    while true {
      try Task.checkCancellation()
      do {
        while try await service.carryOutNextRequest() { try Task.checkCancellation() }
        if .now >= nextSweep {
          nextSweep = .now + .seconds(3600)
          try await service.forgetRequests()
        }
      } catch is CancellationError {
        throw CancellationError()
      } catch { logger.warning("looking again shortly", ["error": "\(error)"]) }
      await service.asked.wait(untilTickOf: Self.pause)
    }
  }
}

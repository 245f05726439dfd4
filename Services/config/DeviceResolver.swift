import Loop
import Observability
import Runtime

/// Resolves what is due, a page at a time, with any number of replicas: each takes what no other has in hand.
struct DeviceResolver: Service {
  static let page = 500
  /// How long what another replica has made due may wait unseen.
  private static let pause: Duration = .milliseconds(500)

  let service: ConfigService
  let logger: Logger

  func run() async throws {
    var limit = Self.page
    while true {
      try Task.checkCancellation()
      do {
        while try await service.spreadDue() {}
        let count = try await resolve(limit)
        limit = min(limit * 2, Self.page)
        if count > 0 { continue }
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        logger.warning("looking again shortly", ["error": "\(error)", "devices": "\(limit)"])
        limit = try await narrow(limit)
      }
      await service.due.wait(untilTickOf: Self.pause)
    }
  }

  /// A page; and while pages are full, two at a time, so that the database works for one while the other is worked at here.
  private func resolve(_ limit: Int) async throws -> Int {
    let count = try await service.resolveDue(limit: limit)
    guard count == Self.page else { return count }
    async let other = service.resolveDue(limit: limit)
    return try await count + service.resolveDue(limit: limit) + other
  }

  /// After a page that failed: a smaller one, down to the one device that makes it fail, which then goes behind all others.
  private func narrow(_ limit: Int) async throws -> Int {
    guard limit == 1 else { return max(1, limit / 8) }
    do { try await service.postponeDue() } catch is CancellationError { throw CancellationError() } catch {
      logger.warning("the database is away", ["error": "\(error)"])
    }
    return 1
  }
}

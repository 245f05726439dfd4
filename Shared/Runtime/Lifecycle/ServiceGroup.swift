import Loop
import Observability

/// Something that runs for as long as the process: cancelling the task that runs it asks it to finish what is in
/// hand and return (the shape of swift-service-lifecycle).
public protocol Service: Sendable {
  /// Runs until cancelled. Throwing ends the whole process.
  func run() async throws
}

/// What is to be done when the services are told to end.
public struct ClosureService: Service {
  private let loop: EventLoop
  private let body: @Sendable () async -> Void

  public init(_ loop: EventLoop, atEnd body: @escaping @Sendable () async -> Void) {
    (self.loop, self.body) = (loop, body)
  }

  public func run() async throws {
    await Wakeup(loop).wait()
    await body()
  }
}

/// Runs services until SIGTERM or SIGINT, then ends them in reverse order: what takes work in goes first, what the
/// others need goes last.
public struct ServiceGroup: Sendable {
  private let services: [(name: String, service: any Service)]
  private let loop: EventLoop
  private let logger: Logger
  private let grace: Duration

  /// - Parameters:
  ///   - services: in dependency order: each may use those before it.
  ///   - loop: where they run.
  ///   - grace: how long each may take to end.
  public init(
    _ services: [(name: String, service: any Service)], loop: EventLoop, logger: Logger,
    grace: Duration = .seconds(3)
  ) {
    self.loop = loop
    self.services = services
    self.logger = logger
    self.grace = grace
  }

  /// For all of them together: the process is gone within 10 s of SIGTERM (SPEC, section 7).
  private static let patience: Duration = .seconds(9)

  private enum Ending: Sendable {
    case signal(String)
    case service(String, (any Error)?)
  }

  /// Runs until a signal comes or a service ends.
  /// - Throws: the error of the service that failed.
  public func run() async throws {
    let (endings, report) = AsyncStream.makeStream(of: Ending.self, bufferingPolicy: .bufferingOldest(64))
    loop.execute { [loop] in SignalSource().watch(on: loop) { report.yield(.signal($0)) } }
    let running = services.map { name, service in
      (
        name: name,
        task: loop.task {
          do {
            try await service.run()
            report.yield(.service(name, nil))
          } catch is CancellationError {
            report.yield(.service(name, nil))
          } catch {
            report.yield(.service(name, error))
          }
        }
      )
    }
    var failure: (any Error)?
    for await ending in endings {
      switch ending {
      case .signal(let name): logger.notice("\(name): finishing what is in hand")
      case .service(let name, let error):
        failure = error ?? UnexpectedEnd(service: name)
        logger.critical("\(name) ended", ["error": "\(failure ?? UnexpectedEnd(service: name))"])
      }
      break
    }
    let end = ContinuousClock.now + Self.patience
    for (name, task) in running.reversed() {
      task.cancel()
      if await !finishes(task, within: min(grace, max(.zero, end - .now))) {
        logger.error("\(name) did not end in time")
      }
    }
    if let failure { throw failure }
  }

  /// Whether the task ends in time; the other one of the two is left to itself.
  private func finishes(_ task: Task<Void, Never>, within limit: Duration) async -> Bool {
    let (first, report) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingOldest(1))
    let waiting = loop.task {
      await task.value
      report.yield(true)
    }
    let timer = loop.task { [loop] in
      try? await loop.sleep(for: limit)
      report.yield(false)
    }
    defer {
      waiting.cancel()
      timer.cancel()
    }
    for await ended in first { return ended }
    return false
  }
}

/// A service that should have run for ever has returned.
struct UnexpectedEnd: Error, CustomStringConvertible {
  let service: String
  var description: String { "\(service) ended by itself" }
}

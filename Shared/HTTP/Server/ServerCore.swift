import Loop
import Observability
import Synchronization
import Threads

/// What all exchanges of one server share: the handler, the limits, and who is in flight.
final class ServerCore: Sendable {
  typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse
  typealias Refuser = @Sendable (HTTPRefusal) -> HTTPResponse

  private struct Flights {
    var all: [ObjectIdentifier: Exchange] = [:]
    var stage = Stage.open
  }

  /// Open: everything is served. Draining: served, but connections are closed after it. Closed: refused.
  enum Stage: Sendable { case open, draining, closed }

  let configuration: HTTPServerConfiguration
  let logger: Logger
  let loop: EventLoop
  /// A connection was resumed: the daemon has to run before this turn ends, since nothing makes its descriptor readable.
  let mustRun = Atomic(false)
  let handler: Handler
  let refuser: Refuser
  private let flights = Locked(Flights())

  init(
    configuration: HTTPServerConfiguration, loop: EventLoop, logger: Logger, handler: @escaping Handler,
    refuser: @escaping Refuser
  ) {
    self.configuration = configuration
    self.loop = loop
    self.logger = logger
    self.handler = handler
    self.refuser = refuser
  }

  /// A refused body is read and dropped up to here, so that the client gets to read the answer instead of a reset.
  var dropLimit: Int { max(16 << 20, 4 * configuration.maximumBodyBytes) }

  /// Counts the exchange in, or says why it is refused.
  func admit(_ exchange: Exchange) -> HTTPRefusal? {
    flights.withLock { flights in
      if flights.stage == .closed { return .shuttingDown }
      if let limit = configuration.maximumRequestsInFlight, flights.all.count >= limit {
        return .tooManyRequests
      }
      flights.all[ObjectIdentifier(exchange)] = exchange
      return nil
    }
  }

  func completed(_ exchange: Exchange) {
    flights.withLock { _ = $0.all.removeValue(forKey: ObjectIdentifier(exchange)) }
  }

  var closesConnections: Bool { flights.withLock { $0.stage != .open } }
  var inFlight: Int { flights.withLock { $0.all.count } }

  /// Ends the endless streams; everything else may go on.
  func drain() { for exchange in enter(.draining) { exchange.endFeed(force: false) } }

  /// Answers 503 to whatever is still being handled and breaks the streams. After this nothing is suspended, and
  /// nothing will be.
  func refuseRest() -> Int {
    let rest = enter(.closed)
    for exchange in rest {
      exchange.endFeed(force: true)
      exchange.answer(with: refuser(.shuttingDown))
    }
    return rest.count
  }

  private func enter(_ stage: Stage) -> [Exchange] {
    flights.withLock { flights in
      flights.stage = stage
      return Array(flights.all.values)
    }
  }
}

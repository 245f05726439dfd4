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
    /// Bytes of large bodies.
    var largeBytes = 0
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
  var dropLimit: Int {
    max(16 << 20, 4 * configuration.maximumBodyBytes, 2 * (configuration.largeBodies?.maximumBytes ?? 0))
  }

  /// Whether its handler reads its body while it comes.
  func isStreamed(_ request: HTTPRequest) -> Bool {
    guard let streamed = configuration.streamedBodies, request.method == .put else { return false }
    return request.path.starts(with: streamed.prefix)
  }

  /// What is left of a streamed body is read and dropped up to here.
  var streamDropLimit: Int { max(dropLimit, configuration.streamedBodies?.maximumBytes ?? 0) }

  /// The longest body that a path takes.
  func maximumBodyBytes(_ path: [String]) -> Int {
    guard let large = configuration.largeBodies, large.paths.contains(path) else {
      return configuration.maximumBodyBytes
    }
    return large.maximumBytes
  }

  /// Makes room for so many bytes more of large bodies.
  /// - Returns: false if there is none.
  func takeRoom(_ bytes: Int) -> Bool {
    flights.withLock { flights in
      guard flights.largeBytes + bytes <= configuration.largeBodies?.maximumBytesAtOnce ?? 0 else {
        return false
      }
      flights.largeBytes += bytes
      return true
    }
  }

  func giveRoom(_ bytes: Int) { if bytes > 0 { flights.withLock { $0.largeBytes -= bytes } } }

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

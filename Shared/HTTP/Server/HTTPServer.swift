import Loop
import Observability
import Threads

/// An HTTP/1.1 server on a loop: libmicrohttpd reads and writes, handlers run as tasks of the loop.
///
/// A handler gets a whole request and is *not* cancelled when its client goes away: what it has begun to create it
/// brings to an end, and the answer is dropped. (A streamed body's producer is cancelled then.) Call `shutdown()`
/// before letting go of a started server.
public final class HTTPServer: Sendable {
  private enum State {
    case new
    case running(RawDaemon, ListeningSocket)
    case stopped(port: Int)
  }

  private let core: ServerCore
  private let state = Locked(State.new)

  /// - Parameters:
  ///   - configuration: where it listens and its limits.
  ///   - loop: where it lives, and all of its handlers.
  ///   - logger: gets what the library has to say, at debug, and responses that could not be sent.
  ///   - handler: answers requests, many at a time.
  ///   - onRefusal: makes the answer to a request that is refused before any handler. It is called on the loop:
  ///     make a value and return.
  public init(
    configuration: HTTPServerConfiguration, loop: EventLoop, logger: Logger,
    handler: @escaping @Sendable (HTTPRequest) async -> HTTPResponse,
    onRefusal: @escaping @Sendable (HTTPRefusal) -> HTTPResponse = { $0.plainResponse }
  ) {
    core = ServerCore(
      configuration: configuration, loop: loop, logger: logger, handler: handler, refuser: onRefusal)
  }

  /// Begins to listen; when it returns, clients can connect.
  public func start() throws(HTTPServerError) {
    try state.withLock { state throws(HTTPServerError) in
      guard case .new = state else { throw .alreadyStarted }
      let socket = try ListeningSocket(host: core.configuration.host, port: core.configuration.port)
      guard let daemon = RawDaemon(core, socket) else {
        socket.release()
        throw .cannotRun(reason: "libmicrohttpd did not start; memory, threads or file descriptors are short")
      }
      state = .running(daemon, socket)
    }
  }

  /// The port it listens on, also when any free one was asked for; the configured one before the start.
  public var port: Int {
    state.withLock { state in
      switch state {
      case .new: core.configuration.port
      case .running(_, let socket): socket.port
      case .stopped(let port): port
      }
    }
  }

  /// The requests that are being handled now, open streams included.
  public var requestsInFlight: Int { core.inFlight }

  /// Refuses new connections, ends endless streams, lets the requests in flight come to their end for as long as the
  /// configuration says, answers 503 to the rest, and stops. It takes at most the drain time and about a second, also
  /// when the calling task is cancelled. A second call returns at once.
  public func shutdown() async {
    let running = state.withLock { state -> (RawDaemon, ListeningSocket)? in
      guard case .running(let daemon, let socket) = state else { return nil }
      state = .stopped(port: socket.port)
      return (daemon, socket)
    }
    guard let (daemon, socket) = running else { return }
    let core = core
    // A task of its own: the caller's cancellation must not turn the waits into busy loops.
    await core.loop.task {
      daemon.quiesce()
      socket.refuseConnections()
      core.drain()
      await Self.wait(core, atMost: core.configuration.drainTimeout)
      let refused = core.refuseRest()
      if refused > 0 {
        core.logger.warning("requests were not done when the drain time was over", ["count": "\(refused)"])
        await Self.wait(core, atMost: .seconds(1))
      }
      daemon.stop()
      socket.release()
    }.value
  }

  /// Waits until nothing is in flight.
  private static func wait(_ core: ServerCore, atMost limit: Duration) async {
    let end = ContinuousClock.now + limit
    while core.inFlight > 0, ContinuousClock.now < end { try? await core.loop.sleep(for: .milliseconds(2)) }
  }
}

import Glibc
import Loop
import Observability
import Threads

/// Carries out what `PoolState` decides.
final class ConnectionPool: Sendable {
  /// A connection on loan.
  struct Loan: Sendable {
    let id: PoolState.ConnectionID
    let session: Session
    let lease: UInt64
  }

  private enum Grant: Sendable {
    case connection(PoolState.ConnectionID, Session)
    case refused(PostgresError)
    case cancelled
  }

  private struct Guarded {
    var pool: PoolState
    var sessions: [PoolState.ConnectionID: Session] = [:]
    var requests: [PoolState.RequestID: Wait<Grant>] = [:]
    var lastRequest: PoolState.RequestID = 0
    var hasRun = false
  }

  let configuration: PostgresConfiguration
  let loop: EventLoop
  private let logger: Logger
  private let guarded: Locked<Guarded>
  // Bounded in fact: there are never more openings than the pool may hold connections.
  private let openings: AsyncStream<PoolState.Opening>
  private let opener: AsyncStream<PoolState.Opening>.Continuation

  init(_ configuration: PostgresConfiguration, loop: EventLoop, logger: Logger) {
    self.loop = loop
    self.configuration = configuration
    self.logger = logger
    let patience = max(configuration.connectTimeout, configuration.statementTimeout ?? .seconds(60))
    guarded = Locked(
      Guarded(
        pool: PoolState(
          .init(
            maximum: configuration.maximumConnections, connectTimeout: configuration.connectTimeout,
            leaseTimeout: patience))))
    (openings, opener) = AsyncStream.makeStream(of: PoolState.Opening.self)
  }

  /// How many connections are up, lent, and how many requests wait.
  var counts: (up: Int, leased: Int, waiting: Int) {
    guarded.withLock { ($0.pool.upCount, $0.pool.leasedCount, $0.pool.waitingCount) }
  }

  // MARK: Lending

  /// Lends a connection.
  /// - Throws: `CancellationError`, or `PostgresError` if none can be had in time.
  func lend() async throws -> Loan {
    while true {
      try Task.checkCancellation()
      let (id, session) = try await grant()
      // A socket that speaks while idle has either a notice or its end to tell.
      let isGood = Self.isQuiet(session.socket) ? true : await session.checkUp()
      if isGood { return Loan(id: id, session: session, lease: await session.lend()) }
      perform { $0.connectionReturned(id, isUsable: false, now: .now) }
    }
  }

  /// Takes a connection back, in whatever state its holder left it.
  func takeBack(_ loan: Loan) async {
    let isUsable = await loan.session.takeBack()
    perform { $0.connectionReturned(loan.id, isUsable: isUsable, now: .now) }
  }

  private func grant() async throws -> (PoolState.ConnectionID, Session) {
    let wait = Wait<Grant>()
    let request = guarded.withLock { guarded in
      guarded.lastRequest += 1
      guarded.requests[guarded.lastRequest] = wait
      return guarded.lastRequest
    }
    perform { $0.requested(request, now: .now) }
    let grant = await withTaskCancellationHandler {
      await wait.value()
    } onCancel: {
      // If it is not waiting any more it has its grant, and the loan is given back in the ordinary way.
      let isOut = guarded.withLock { guarded in
        guard guarded.pool.requestCancelled(request) else { return false }
        guarded.requests[request] = nil
        return true
      }
      if isOut { wait.resolve(.cancelled) }
    }
    switch grant {
    case .connection(let id, let session): return (id, session)
    case .refused(let error): throw error
    case .cancelled: throw CancellationError()
    }
  }

  private static func isQuiet(_ socket: Int32) -> Bool {
    var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 0
  }

  // MARK: Running

  /// Opens connections as they are wanted, until cancelled.
  func run() async throws {
    let isFirst = guarded.withLock { guarded in
      defer { guarded.hasRun = true }
      return !guarded.hasRun
    }
    guard isFirst else { throw PostgresError(.usage, "run() was called twice") }
    await withDiscardingTaskGroup { group in
      group.addTask { await self.tick() }
      for await opening in openings {
        group.addTask { await self.open(opening) }
      }
      group.cancelAll()
    }
    perform { $0.shutDown() }
    // Who has a connection now gives it back soon; this end is bounded all the same.
    let end = ContinuousClock.now + .seconds(2)
    while counts.leased > 0, .now < end {
      _ = await Wait().outcome(on: loop, until: .now + .milliseconds(10), cancellable: false)
    }
  }

  private func tick() async {
    while (try? await loop.sleep(untilTickOf: .milliseconds(250))) != nil {
      let dead = guarded.withLock { guarded in
        // Under the lock nobody else has the idle ones.
        guarded.pool.idle.filter { guarded.sessions[$0].map { !Self.isQuiet($0.socket) } ?? false }
      }
      for id in dead { perform { $0.connectionDied(id) } }
      perform { $0.timePassed(now: .now) }
    }
  }

  private func open(_ opening: PoolState.Opening) async {
    do {
      if opening.after > .zero { try await loop.sleep(for: opening.after) }
      let session = try await Connector.connect(configuration, on: loop)
      guarded.withLock { $0.sessions[opening.connection] = session }
      perform { $0.connectionOpened(opening.connection, now: .now) }
    } catch {
      let fault = error as? PostgresError
      if let fault { logger.warning("cannot connect to PostgreSQL", ["reason": fault.description]) }
      let random = Double.random(in: 0..<1)
      perform {
        $0.openingFailed(
          opening.connection, fault, pause: { ConnectBackoff.pause(failures: $0, random: random) }, now: .now)
      }
    }
  }

  /// Lets the state decide and does what it says.
  private func perform(_ decide: (inout PoolState) -> PoolState.Actions) {
    var grants: [(Wait<Grant>, Grant)] = []
    var closed: [Session] = []
    guarded.withLock { guarded in
      let actions = decide(&guarded.pool)
      for grant in actions.hand {
        guard let wait = guarded.requests.removeValue(forKey: grant.request),
          let session = guarded.sessions[grant.connection]
        else { continue }
        grants.append((wait, .connection(grant.connection, session)))
      }
      for refusal in actions.fail {
        guard let wait = guarded.requests.removeValue(forKey: refusal.request) else { continue }
        grants.append((wait, .refused(error(refusal.reason, guarded.pool.lastFailure))))
      }
      for id in actions.close {
        if let session = guarded.sessions.removeValue(forKey: id) { closed.append(session) }
      }
      for opening in actions.open { opener.yield(opening) }
    }
    for (wait, grant) in grants { wait.resolve(grant) }
    // The sessions end here, outside the lock, unless somebody still holds on to one.
    closed.removeAll()
  }

  private func error(_ reason: PoolState.Refusal.Reason, _ last: PostgresError?) -> PostgresError {
    switch reason {
    case .unreachable: last ?? PostgresError(.connection, "no connection to the server")
    case .exhausted: PostgresError(.timeout, "no pooled connection came free in time")
    case .shutDown: PostgresError(.connection, "the client was shut down")
    }
  }
}

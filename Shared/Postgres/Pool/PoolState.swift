/// Decides who gets which connection, when one is opened and when dropped. Pure: told what happened, it says
/// what to do; it knows no clock, no chance and no socket.
struct PoolState {
  typealias ConnectionID = Int
  typealias RequestID = UInt64
  typealias Instant = ContinuousClock.Instant

  struct Limits {
    var maximum: Int
    /// How long a request waits while no connection is up.
    var connectTimeout: Duration
    /// How long a request waits for others to give a connection back.
    var leaseTimeout: Duration
    /// A connection unused for so long is closed.
    var idleTimeout: Duration = .seconds(300)
  }

  /// What the pool has to do. Empty in the ordinary case, so no memory is taken for it.
  struct Actions: Equatable {
    var hand: [Grant] = []
    var open: [Opening] = []
    var close: [ConnectionID] = []
    var fail: [Refusal] = []
  }
  struct Grant: Equatable {
    var connection: ConnectionID
    var request: RequestID
  }
  struct Opening: Equatable {
    var connection: ConnectionID
    var after: Duration
  }
  struct Refusal: Equatable {
    enum Reason { case unreachable, exhausted, shutDown }
    var request: RequestID
    var reason: Reason
  }

  private enum Connection {
    /// Being opened. Can transition to idle, leased, or be gone.
    case opening
    /// Nobody has it. Can transition to leased, or be gone.
    case idle(since: Instant)
    /// Somebody has it. Can transition to idle, leased by another, or be gone.
    case leased
  }

  private struct Request {
    let id: RequestID
    let since: Instant
  }

  private let limits: Limits
  private var connections: [ConnectionID: Connection] = [:]
  /// The idle ones, the most recently used last: it is the first to be lent again, the others may grow old.
  private(set) var idle: [ConnectionID] = []
  private var waiting: [Request] = []
  private var waitingStart = 0
  private var lastConnection = 0
  private var openingCount = 0
  /// Failures to connect since the last success.
  private var failures = 0
  private var notBefore: Instant?
  private var isShutDown = false
  private(set) var lastFailure: PostgresError?

  init(_ limits: Limits) { self.limits = limits }

  var leasedCount: Int { connections.count - openingCount - idle.count }
  var upCount: Int { connections.count - openingCount }
  var waitingCount: Int { waiting.count - waitingStart }

  /// Somebody wants a connection.
  mutating func requested(_ id: RequestID, now: Instant) -> Actions {
    if isShutDown { return Actions(fail: [Refusal(request: id, reason: .shutDown)]) }
    if let connection = idle.popLast() {
      connections[connection] = .leased
      return Actions(hand: [Grant(connection: connection, request: id)])
    }
    waiting.append(Request(id: id, since: now))
    return Actions(open: openings(now))
  }

  /// A waiting request's task was cancelled; false if it is not waiting any more.
  mutating func requestCancelled(_ id: RequestID) -> Bool {
    guard let index = waiting[waitingStart...].firstIndex(where: { $0.id == id }) else { return false }
    waiting.remove(at: index)
    return true
  }

  /// A connection is up.
  mutating func connectionOpened(_ id: ConnectionID, now: Instant) -> Actions {
    guard connections[id] != nil else { return Actions(close: [id]) }
    failures = 0
    notBefore = nil
    lastFailure = nil
    openingCount -= 1
    var actions = becameFree(id, now)
    actions.open = openings(now)
    return actions
  }

  /// A connection could not be opened; the next try waits for `pause`.
  mutating func openingFailed(
    _ id: ConnectionID, _ error: PostgresError?, pause: (Int) -> Duration, now: Instant
  )
    -> Actions
  {
    guard connections.removeValue(forKey: id) != nil else { return Actions() }
    openingCount -= 1
    failures += 1
    lastFailure = error
    notBefore = now + pause(failures)
    return Actions(open: openings(now))
  }

  /// A holder gave its connection back.
  mutating func connectionReturned(_ id: ConnectionID, isUsable: Bool, now: Instant) -> Actions {
    guard connections[id] != nil else { return Actions() }
    if isUsable, !isShutDown { return becameFree(id, now) }
    connections[id] = nil
    return Actions(open: openings(now), close: [id])
  }

  /// An idle connection turned out to be dead.
  mutating func connectionDied(_ id: ConnectionID) -> Actions {
    guard case .idle = connections[id] else { return Actions() }
    connections[id] = nil
    idle.removeAll { $0 == id }
    return Actions(close: [id])
  }

  /// To be told several times a second.
  mutating func timePassed(now: Instant) -> Actions {
    var actions = Actions()
    let patience = upCount == 0 ? limits.connectTimeout : limits.leaseTimeout
    while waitingStart < waiting.count, now - waiting[waitingStart].since >= patience {
      let request = popWaiting()
      actions.fail.append(Refusal(request: request, reason: upCount == 0 ? .unreachable : .exhausted))
    }
    for id in idle {
      guard case .idle(let since) = connections[id], now - since >= limits.idleTimeout else { break }
      actions.close.append(id)
      connections[id] = nil
    }
    idle.removeFirst(actions.close.count)
    actions.open = openings(now)
    return actions
  }

  /// No more requests; what is idle is closed, what is lent is closed when it comes back.
  mutating func shutDown() -> Actions {
    isShutDown = true
    var actions = Actions(close: idle)
    for request in waiting[waitingStart...] {
      actions.fail.append(Refusal(request: request.id, reason: .shutDown))
    }
    waiting = []
    waitingStart = 0
    idle = []
    for (id, connection) in connections {
      if case .leased = connection { continue }
      connections[id] = nil
    }
    openingCount = 0
    return actions
  }

  private mutating func becameFree(_ id: ConnectionID, _ now: Instant) -> Actions {
    if waitingStart < waiting.count {
      connections[id] = .leased
      return Actions(hand: [Grant(connection: id, request: popWaiting())])
    }
    connections[id] = .idle(since: now)
    idle.append(id)
    return Actions()
  }

  /// One connection for each that waits, up to the maximum; one at a time while the server does not answer.
  private mutating func openings(_ now: Instant) -> [Opening] {
    guard !isShutDown else { return [] }
    let wanted = failures > 0 ? min(1, waitingCount) : waitingCount
    var openings: [Opening] = []
    while openingCount < wanted, connections.count < limits.maximum {
      lastConnection += 1
      openingCount += 1
      connections[lastConnection] = .opening
      let pause = notBefore.map { max(.zero, $0 - now) } ?? .zero
      openings.append(Opening(connection: lastConnection, after: pause))
    }
    return openings
  }

  private mutating func popWaiting() -> RequestID {
    let request = waiting[waitingStart]
    waitingStart += 1
    // The front is cut off now and then, not at each step.
    if waitingStart > 64, waitingStart * 2 > waiting.count {
      waiting.removeFirst(waitingStart)
      waitingStart = 0
    }
    return request.id
  }
}

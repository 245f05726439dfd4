import Loop

/// One connection to the server: it runs one exchange at a time, in the order in which they were asked for.
///
/// A session is lent to one holder at a time (`lend`, `takeBack`); what comes from an earlier holder is refused.
actor Session {
  /// How long the server has, after a cancel, to end the statement, before the connection is dropped.
  static let cancelPatience: Duration = .seconds(5)

  /// How much longer than the server this side waits for a statement: it is for servers that hang.
  static let grace: Duration = .seconds(3)

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  nonisolated let loop: EventLoop
  /// The socket's descriptor, for looking whether it is quiet.
  nonisolated let socket: Int32
  /// The statements' limit at the server; here it is longer by `grace`.
  nonisolated let statementTimeout: Duration?

  private enum Transaction { case none, beginPending, begun }

  private(set) var raw: RawConnection?
  private var statements = StatementCache(limit: 256)
  private var isBusy = false
  private var queue: [Wait<Bool>] = []
  private var lease: UInt64 = 0
  private var transaction = Transaction.none
  /// What goes ahead of the next round trip.
  private var enqueued: [Enqueued] = []

  /// What waits for the transaction's commit.
  private var afterCommit: [@Sendable () -> Void] = []

  /// A statement that waits for the next round trip.
  struct Enqueued {
    let query: PostgresQuery
    let answered: (@Sendable (PostgresRows) -> Void)?
  }

  init(_ raw: sending RawConnection, loop: EventLoop, statementTimeout: Duration?) {
    self.loop = loop
    socket = raw.socket
    self.raw = raw
    self.statementTimeout = statementTimeout
  }

  /// Whether it can be used again.
  var isUsable: Bool { raw.map { !$0.isBroken } ?? false }

  /// How many statements are prepared, for tests.
  var preparedCount: Int { statements.count }

  // MARK: Lending

  /// A new holder; gives the number that its calls have to carry.
  func lend() -> UInt64 {
    lease += 1
    return lease
  }

  /// The holder is done: ends what it left open. False if the connection is of no use any more.
  func takeBack() async -> Bool {
    lease += 1
    await enterAlways()
    defer { leave() }
    transaction = .none
    enqueued = []
    afterCommit = []
    guard let raw, !raw.isBroken else { return false }
    guard raw.isInTransaction else { return true }
    _ = try? await run([PostgresQuery(unsafeSQL: "ROLLBACK")], cancellable: false)
    return isUsable && !raw.isInTransaction
  }

  /// Looks at a socket that has something to say while idle: a notice, or the end.
  func checkUp() -> Bool {
    guard let raw else { return false }
    if !raw.consume() || raw.isBroken { close() }
    return isUsable
  }

  /// Ends the connection.
  func close() { raw = nil }

  // MARK: Using

  /// Runs queries in one round trip, behind those that were enqueued.
  func pipeline(_ queries: [PostgresQuery], lease: UInt64?) async throws -> [PostgresRows] {
    try await enter(lease)
    defer { leave() }
    let first = takeEnqueued()
    do {
      return Self.handOut(
        first, try await runOrRepeat(first.map(\.query) + queries, cancellable: true).answers)
    } catch {
      // They may not even have been sent: whoever swallows this error must not commit without them.
      enqueued = first + enqueued
      throw error
    }
  }

  /// Outside of a transaction what a changed table made stale is sent once more.
  private func runOrRepeat(_ queries: [PostgresQuery], cancellable: Bool) async throws -> PipelineExchange {
    do {
      return try await run(queries, cancellable: cancellable)
    } catch let error as PostgresError
      where error.isOfStaleStatement && transaction == .none && !isInTransaction
    {
      return try await run(queries, cancellable: cancellable)
    }
  }

  /// Leaves queries for the next round trip of this transaction, its commit at the latest.
  func enqueue(_ queries: [Enqueued], lease: UInt64) throws {
    guard lease == self.lease else { throw Self.overdue }
    guard transaction != .none else { throw PostgresError(.usage, "no transaction to enqueue for") }
    enqueued += queries
  }

  /// Leaves something to be called when the transaction is committed.
  func afterCommit(_ body: @escaping @Sendable () -> Void, lease: UInt64) throws {
    guard lease == self.lease else { throw Self.overdue }
    guard transaction != .none else { throw PostgresError(.usage, "no transaction to wait for") }
    afterCommit.append(body)
  }

  private func takeEnqueued() -> [Enqueued] {
    defer { enqueued = [] }
    return enqueued
  }

  /// Hands the first answers to those who enqueued for them, and gives the others.
  @discardableResult
  private static func handOut(_ first: [Enqueued], _ answers: [PostgresRows]) -> [PostgresRows] {
    for (statement, answer) in zip(first, answers) { statement.answered?(answer) }
    return Array(answers.dropFirst(first.count))
  }

  /// Runs one statement with a time limit of its own at this side.
  @discardableResult
  func timed(_ query: PostgresQuery, within limit: Duration, cancellable: Bool = true) async throws
    -> PostgresRows
  {
    if cancellable { try await enter(nil) } else { await enterAlways() }
    defer { leave() }
    return try await run([query], cancellable: cancellable, limit: limit).answers.first ?? PostgresRows(nil)
  }

  /// Runs a script by the simple protocol. No time limit of this side.
  func script(_ sql: String, lease: UInt64?) async throws {
    try await enter(lease)
    defer { leave() }
    try Task.checkCancellation()
    let first = takeEnqueued()
    Self.handOut(first, try await run(first.map(\.query), cancellable: true).answers)
    let sql = transaction == .beginPending ? "BEGIN;" + sql : sql
    if transaction == .beginPending { transaction = .begun }
    let raw = try connection()
    guard raw.leavePipelineMode(), raw.sendScript(sql) else { throw lost() }
    var failure: PostgresError?
    do {
      try await drive(until: nil, cancellable: true) { raw in
        while true {
          switch raw.nextResult() {
          case .busy: return false
          case .endOfCommand: return true
          case .result(let result):
            if result.status == .failed, failure == nil { failure = result.error }
            if result.status == .foreign { throw PostgresError(.usage, "COPY is not supported") }
          }
        }
      } failed: {
        failure != nil
      }
    } catch {
      // Not in pipeline mode, so of no use to the next.
      close()
      throw error
    }
    guard raw.enterPipelineMode() else { throw lost() }
    if let failure { throw failure }
  }

  // MARK: Transactions

  /// A transaction begins with the next statement, in the same round trip; without BEGIN if that is the commit's.
  func begin(lease: UInt64) throws {
    guard lease == self.lease else { throw Self.overdue }
    guard transaction == .none, !isInTransaction else { throw PostgresError(.usage, "a transaction is open") }
    transaction = .beginPending
  }

  /// Commits, with what was enqueued in the same round trip; cannot be cancelled, so that the outcome is known.
  func commit() async throws {
    await enterAlways()
    defer { leave() }
    let last = takeEnqueued()
    // Then all of it goes in one round trip, which the server makes one transaction by itself.
    let isOneTrip = transaction == .beginPending
    transaction = .none
    if isOneTrip {
      Self.handOut(last, try await runOrRepeat(last.map(\.query), cancellable: false).answers)
      return committed()
    }
    let exchange = try await run(
      last.map(\.query) + [PostgresQuery(unsafeSQL: "COMMIT")], cancellable: false)
    if exchange.tags.last == "ROLLBACK" {
      throw PostgresError(
        .server(sqlState: "25P02"), "the transaction was rolled back, as one of its statements had failed",
        code: "25P02")
    }
    Self.handOut(last, exchange.answers)
    committed()
  }

  private func committed() {
    for body in afterCommit { body() }
    afterCommit = []
  }

  // MARK: One at a time

  private static let overdue = PostgresError(.usage, "the connection was given back")

  private var isInTransaction: Bool { raw?.isInTransaction ?? false }

  private func enter(_ lease: UInt64?) async throws {
    try Task.checkCancellation()
    if isBusy {
      let turn = Wait<Bool>()
      queue.append(turn)
      let isOurs = await withTaskCancellationHandler {
        await turn.value()
      } onCancel: {
        turn.resolve(false)
      }
      guard isOurs else { throw CancellationError() }
    }
    isBusy = true
    if let lease, lease != self.lease {
      leave()
      throw Self.overdue
    }
  }

  private func enterAlways() async {
    if isBusy {
      let turn = Wait<Bool>()
      queue.append(turn)
      _ = await turn.value()
    }
    isBusy = true
  }

  private func leave() {
    // Whoever was cancelled meanwhile refuses the turn.
    while !queue.isEmpty {
      if queue.removeFirst().resolve(true) { return }
    }
    isBusy = false
  }

  // MARK: The exchange

  private func connection() throws -> RawConnection {
    guard let raw else { throw PostgresError(.connection, "the connection is closed") }
    return raw
  }

  /// Drops the connection and gives the error to throw.
  func lost(
    _ error: PostgresError = PostgresError(.connection, "the connection to the server was lost")
  )
    -> PostgresError
  {
    raw = nil
    return error
  }

  private func run(
    _ queries: [PostgresQuery], cancellable: Bool, limit: Duration? = nil
  ) async throws -> PipelineExchange {
    if cancellable { try Task.checkCancellation() }
    guard !queries.isEmpty else { return PipelineExchange() }
    var exchange = try send(queries)
    let limit = limit ?? statementTimeout.map { $0 * queries.count + Self.grace }
    try await drive(until: limit, cancellable: cancellable) { raw in
      try self.receive(raw, &exchange)
    } failed: {
      exchange.failure != nil
    }
    if let failure = exchange.failure {
      if failure.code == "26000" {
        statements.vanished()
      } else if failure.isOfStaleStatement {
        for case .query(let key) in exchange.steps { statements.invalidated(key) }
      }
      throw failure
    }
    return exchange
  }

  private func send(_ queries: [PostgresQuery]) throws -> PipelineExchange {
    let raw = try connection()
    var exchange = PipelineExchange()
    var isSent = true
    // A failed transaction takes nothing but its end; the leftovers can wait.
    if !raw.isTransactionFailed {
      for name in statements.leftovers {
        isSent = isSent && raw.sendPlain("DEALLOCATE \(name)")
        exchange.sent(.deallocate(name))
      }
    }
    if transaction == .beginPending {
      isSent = isSent && raw.sendPlain("BEGIN")
      exchange.sent(.begin)
      transaction = .begun
    }
    for query in queries {
      let key = StatementCache.Key(sql: query.sql, types: query.binds.types)
      let (name, isNew) = statements.used(key)
      if isNew {
        isSent = isSent && raw.sendPrepare(name, query.sql, types: key.types)
        exchange.sent(.prepare(key, name: name))
      }
      isSent = isSent && raw.sendExecute(name, query.binds)
      exchange.sent(.query(key))
    }
    guard isSent, raw.sendSync() else { throw lost() }
    exchange.sent(.sync)
    return exchange
  }

  /// Takes what has come; true when the sync is reached.
  private func receive(_ raw: RawConnection, _ exchange: inout PipelineExchange) throws -> Bool {
    while true {
      let event: PipelineExchange.Event?
      switch raw.nextResult() {
      case .busy: return false
      case .result(let result): event = try exchange.received(result)
      case .endOfCommand: event = try exchange.stepEnded()
      }
      switch event {
      case .deallocated(let name): statements.deallocated(name)
      case .prepared(let key, let name): statements.prepared(key, name: name)
      case .notPrepared(let key, let name): statements.preparationFailed(key, name: name)
      case .ended: return true
      case nil: if raw.isBroken { throw lost() }
      }
    }
  }

  /// Writes and reads until `receive` says that the answer is complete.
  ///
  /// When the task is cancelled it asks the server to stop and goes on reading, so that the connection stays
  /// usable; an answer that is complete nevertheless is kept, a failed one becomes a `CancellationError`.
  private func drive(
    until limit: Duration?, cancellable: Bool, receive: (RawConnection) throws -> Bool, failed: () -> Bool
  ) async throws {
    var deadline = limit.map { ContinuousClock.now + $0 }
    var cancel: Wait<WaitOutcome>?
    while true {
      let raw = try connection()
      guard let isUnsent = raw.flush() else { throw lost() }
      do {
        if try receive(raw) { break }
      } catch let error as PostgresError {
        throw lost(error)
      }
      let interest: Interest = isUnsent ? [.reading, .closing, .writing] : [.reading, .closing]
      let outcome = await loop.ready(
        raw.socket, for: interest, until: deadline, cancellable: cancellable && cancel == nil)
      switch outcome {
      case .ready: if !raw.consume() { throw lost() }
      case .cancelled:
        let done = Wait<WaitOutcome>()
        raw.canceller()?.send(on: loop, done: done)
        cancel = done
        deadline = .now + Self.cancelPatience
      case .timedOut:
        if cancel == nil { raw.canceller()?.send(on: loop, done: Wait()) }
        self.raw = nil
        if cancel != nil { throw CancellationError() }
        throw PostgresError(.timeout, "the server did not answer in time")
      }
    }
    guard let cancel else { return }
    // The request must have arrived before the next statement is sent, or it would hit that one.
    if await cancel.outcome(on: loop, until: deadline, cancellable: false) != .ready { raw = nil }
    if failed() { throw CancellationError() }
  }
}

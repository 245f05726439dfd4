extension PostgresClient {
  /// Runs `body` while this client, and nobody else, holds the advisory lock `key`: a leader's work.
  ///
  /// The lock lives on a connection of its own (`run()` is not needed for it) and is asked for every
  /// `retryEvery` until it is free. When that connection dies or does not answer, the lock counts as lost: the
  /// task of `body` is cancelled at once.
  /// - Parameters:
  ///   - key: the lock's number, one name space for the whole database.
  ///   - retryEvery: how often to try while another holds it.
  ///   - probeEvery: how often the holder asks its connection for a sign of life.
  /// - Throws: `PostgresError` of kind `.connection` if the lock was lost meanwhile; else what `body` throws.
  public func withAdvisoryLock<T: Sendable>(
    key: Int64, retryEvery: Duration = .milliseconds(500), probeEvery: Duration = .seconds(2),
    _ body: @escaping @Sendable () async throws -> T
  ) async throws -> T {
    let session = try await acquire(key, retryEvery)
    let outcome = await withTaskGroup(of: LockOutcome<T>.self) { group in
      group.addTask {
        do { return .done(.success(try await body())) } catch { return .done(.failure(error)) }
      }
      group.addTask { .lost(await Self.watch(session, probeEvery)) }
      // The first to end decides; the other is cancelled, and its end awaited.
      let first = await group.next()
      group.cancelAll()
      return first
    }
    // Unlocking is not left to the end of the connection, which the server may notice late.
    await session.unlock(key)
    switch outcome {
    case .done(let result): return try result.get()
    case .lost(let error?): throw error
    case .lost(nil), nil: throw CancellationError()
    }
  }

  private enum LockOutcome<T: Sendable>: Sendable {
    case done(Result<T, any Error>)
    case lost(PostgresError?)
  }

  private func acquire(_ key: Int64, _ pause: Duration) async throws -> Session {
    while true {
      let session = try await Connector.connect(configuration, on: loop, retryingUntil: nil)
      do {
        while try await !session.tryLock(key) { try await loop.sleep(for: pause) }
        return session
      } catch let error as PostgresError where error.isRetryable {
        logger.warning("the connection for a lock was lost", ["reason": error.description])
        try await loop.sleep(for: pause)
      }
    }
  }

  /// Returns when the connection is lost, or with nil when cancelled.
  private static func watch(_ session: Session, _ interval: Duration) async -> PostgresError? {
    do {
      while true {
        if try await session.notification(until: .now + interval) == nil { try await session.probe() }
      }
    } catch let error as PostgresError {
      return PostgresError(.connection, "the advisory lock was lost: \(error.message)")
    } catch {
      return nil
    }
  }
}

extension Session {
  /// Takes a session-level advisory lock if it is free.
  func tryLock(_ key: Int64) async throws -> Bool {
    try await timed("SELECT pg_try_advisory_lock(\(key))", within: .seconds(5)).first?.decode(Bool.self)
      ?? false
  }

  /// Gives the lock back and closes the connection; not cancellable, bounded.
  func unlock(_ key: Int64) async {
    _ = try? await timed("SELECT pg_advisory_unlock(\(key))", within: .seconds(2), cancellable: false)
    close()
  }
}

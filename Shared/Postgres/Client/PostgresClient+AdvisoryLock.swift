extension PostgresClient {
  /// Runs `body` while this client, and nobody else, holds the advisory lock `key`: a leader's work.
  ///
  /// The lock lives on a connection of its own (`run()` is not needed for it) and is asked for every
  /// `retryEvery` until it is free. When that connection dies or does not answer, the lock counts as lost: the
  /// task of `body` is cancelled at once. A holder that stands still (stopped, or swapped out) would keep it for as long as
  /// its kernel answers for it: who waits ends the connection of one that has been silent for `patience`.
  /// - Parameters:
  ///   - key: the lock's number, one name space for the whole database.
  ///   - retryEvery: how often to try while another holds it.
  ///   - probeEvery: how often the holder asks its connection for a sign of life.
  ///   - patience: after how long without one its connection is ended; several times its `probeEvery`.
  /// - Throws: `PostgresError` of kind `.connection` if the lock was lost meanwhile; else what `body` throws.
  public func withAdvisoryLock<T: Sendable>(
    key: Int64, retryEvery: Duration = .milliseconds(500), probeEvery: Duration = .seconds(2),
    patience: Duration = .seconds(8), _ body: @escaping @Sendable () async throws -> T
  ) async throws -> T {
    let session = try await acquire(key, retryEvery, patience)
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

  private func acquire(_ key: Int64, _ pause: Duration, _ patience: Duration) async throws -> Session {
    while true {
      let session = try await Connector.connect(configuration, on: loop, retryingUntil: nil)
      do {
        var nextLook = ContinuousClock.now + patience
        while try await !session.tryLock(key) {
          try await loop.sleep(for: pause)
          if .now >= nextLook {
            if try await session.endHolder(of: key, silentFor: patience) {
              logger.warning("the holder of a lock stood still: its connection was ended")
            }
            nextLook = .now + patience / 4
          }
        }
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

  /// Ends the connection that holds the lock if it has sent nothing for so long.
  /// - Returns: whether there was one.
  func endHolder(of key: Int64, silentFor patience: Duration) async throws -> Bool {
    // The server shows a lock of 64 bits as two halves; `objsubid` 1 tells it from one of two keys.
    let (high, low) = (UInt32(truncatingIfNeeded: key >> 32), UInt32(truncatingIfNeeded: key))
    return try await timed(
      """
      SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'advisory' AND granted AND classid = \(Int64(high))::oid AND objid = \(Int64(low))::oid AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND state_change < clock_timestamp() - \(patience / .seconds(1)) * interval '1 s'
      """, within: .seconds(5)
    ).count > 0
  }

  /// Gives the lock back and closes the connection; not cancellable, bounded.
  func unlock(_ key: Int64) async {
    _ = try? await timed("SELECT pg_advisory_unlock(\(key))", within: .seconds(2), cancellable: false)
    close()
  }
}

extension PostgresClient {
  /// Listens on a channel, on a connection of its own, until the task is cancelled or `body` throws.
  ///
  /// Meant for wake-ups: notifications that come while `body` runs are merged into one call with the last
  /// one's payload. After each connect, the first included, `body` is called once with an empty payload, as
  /// something may have been missed; a lost connection is made again by itself. Does not need `run()`.
  public func listen(
    _ channel: String, _ body: @Sendable (_ payload: String) async throws -> Void
  ) async throws {
    let name = channel.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
    while true {
      let session = try await Connector.connect(configuration, on: loop, retryingUntil: nil)
      do {
        _ = try await session.pipeline([PostgresQuery(unsafeSQL: "LISTEN \"\(name)\"")], lease: nil)
      } catch let error as PostgresError where error.isRetryable {
        await pause(error)
        continue
      }
      try await body("")
      let fault = try await forward(session, body)
      await session.close()
      await pause(fault)
    }
  }

  /// The payloads of `listen`, the newest only if they are taken slowly; the listening ends with the sequence.
  public func notifications(channel: String) -> AsyncStream<String> {
    AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
      let task = loop.task {
        do {
          try await self.listen(channel) { continuation.yield($0) }
        } catch let error as PostgresError {
          self.logger.error("cannot listen", ["reason": error.description])
        } catch {}  // cancelled
        continuation.finish()
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Hands notifications on; returns when the connection is lost.
  private func forward(
    _ session: Session, _ body: @Sendable (String) async throws -> Void
  ) async throws -> PostgresError {
    while true {
      let payload: String?
      do {
        payload = try await session.notification(until: .now + .seconds(10))
        // A quiet connection is asked for a sign of life.
        if payload == nil { try await session.probe() }
      } catch let error as PostgresError {
        return error
      }
      if let payload { try await body(payload) }
    }
  }

  private func pause(_ error: PostgresError) async {
    logger.warning("listening was interrupted", ["reason": error.description])
    // A cancelled task finds out at its next step.
    try? await loop.sleep(for: ConnectBackoff.pause(failures: 1, random: .random(in: 0..<1)))
  }
}

extension Session {
  /// Asks the server for a sign of life.
  func probe(within limit: Duration = .seconds(5)) async throws {
    try await timed(PostgresQuery(unsafeSQL: "SELECT 1"), within: limit)
  }
}

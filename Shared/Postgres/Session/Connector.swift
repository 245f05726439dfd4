import Loop

/// Opens connections.
enum Connector {
  /// Connects within the configuration's `connectTimeout`.
  /// - Throws: `PostgresError` of kind `.connection`, or `CancellationError`.
  static func connect(_ configuration: PostgresConfiguration, on loop: EventLoop) async throws -> Session {
    let deadline = ContinuousClock.now + configuration.connectTimeout
    let addresses = try await addresses(configuration.host, on: loop, until: deadline)
    let raw = try RawConnection(configuration.parameters(addresses: addresses))
    var progress = RawConnection.Progress.writing
    if raw.isBroken { progress = .failed }
    while true {
      switch progress {
      case .connected:
        guard raw.becomeReady() else { throw PostgresError(.connection, "libpq refuses pipeline mode") }
        return Session(raw, loop: loop, statementTimeout: configuration.statementTimeout)
      case .failed:
        throw PostgresError(.connection, raw.connectMessage)
      case .reading, .writing:
        let interest: Interest = progress == .reading ? [.reading, .closing] : .writing
        switch await loop.ready(raw.socket, for: interest, until: deadline) {
        case .ready: progress = raw.connectStep()
        case .timedOut: throw PostgresError(.connection, "the server did not accept the connection in time")
        case .cancelled: throw CancellationError()
        }
      }
    }
  }

  /// Connects, trying again with growing pauses until `deadline` (nil: for ever).
  static func connect(
    _ configuration: PostgresConfiguration, on loop: EventLoop,
    retryingUntil deadline: ContinuousClock.Instant?
  ) async throws -> Session {
    var failures = 0
    while true {
      do {
        return try await connect(configuration, on: loop)
      } catch let error as PostgresError where error.kind == .connection {
        failures += 1
        let pause = ConnectBackoff.pause(failures: failures, random: .random(in: 0..<1))
        if let deadline, .now + pause > deadline { throw error }
        try await loop.sleep(for: pause)
      }
    }
  }

  private static func addresses(_ host: String, on loop: EventLoop, until deadline: ContinuousClock.Instant)
    async throws -> [String]
  {
    if host.hasPrefix("/") { return [] }
    if HostResolver.isNumeric(host) { return [host] }
    return try await HostResolver.addresses(host, on: loop, until: deadline)
  }
}

/// How long to wait before the next try.
enum ConnectBackoff {
  /// 50 ms doubled with each failure, at most 2 s, of which a random half.
  static func pause(failures: Int, random: Double) -> Duration {
    let whole = 50.0 * Double(1 << min(max(failures - 1, 0), 6))
    let milliseconds = min(whole, 2000)
    return .microseconds(Int64(1000 * milliseconds * (0.5 + random / 2)))
  }
}

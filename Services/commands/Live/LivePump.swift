import FoundationEssentials
import HTTP
import Loop
import Runtime

/// Writes one reader's events to its connection.
struct LivePump: Sendable {
  let stream: LiveStream
  let standing: Standing

  /// After a second, since the key was believed for a moment and its revocation may have come before the stream began
  /// to listen; then now and then. What happens to a key later is heard at once.
  private static let firstCheck: Duration = .seconds(1)

  /// Until the reader has gone, is cut off, or its key is dead.
  func run(_ writer: HTTPBodyWriter) async throws {
    // A task of its own: who is cut off may be waiting for its client.
    let task = stream.events.loop.task(throwing: { try await pump(writer) })
    await stream.events.attach(stream.id) { task.cancel() }
    try await withTaskCancellationHandler {
      try await task.value
    } onCancel: {
      task.cancel()
    }
  }

  private func pump(_ writer: HTTPBodyWriter) async throws {
    let heartbeat = stream.events.limits.heartbeat
    var beatAt = ContinuousClock.now
    var checkAt = beatAt + Self.firstCheck
    try await writer.write("retry: 1000\n\n")
    while true {
      let now = ContinuousClock.now
      if now >= checkAt {
        if await !isGood() { return }
        checkAt = now + heartbeat
      }
      let lines: [UInt8]
      do throws(LiveEvents.End) {
        lines = try await stream.events.next(stream.id, beats: now >= beatAt)
      } catch {
        if case .behind = error { throw error }
        return
      }
      if lines.isEmpty {
        await stream.alarm.wait(until: min(beatAt, checkAt, expiry))
        try Task.checkCancellation()
      } else {
        try await writer.write(lines)
        beatAt = now + heartbeat
      }
      if let end = standing.expiresAt, end <= .now { return }
    }
  }

  /// A check that fails says nothing of the key.
  private func isGood() async -> Bool { (try? await standing.isGood()) ?? true }

  private var expiry: ContinuousClock.Instant {
    // In steps: the wall clock may be set.
    let left = standing.expiresAt.map { max(0, $0.timeIntervalSinceNow) } ?? 3600
    return .now + .seconds(min(left, 3600)) + .milliseconds(1)
  }
}

import Loop

extension Session {
  /// Waits for a notification and gives the last one's payload, nil if none came before the deadline.
  func notification(until deadline: ContinuousClock.Instant) async throws -> String? {
    while true {
      guard let raw, raw.consume(), !raw.isBroken else { throw lost() }
      if let payload = raw.lastNotification() { return payload }
      switch await loop.ready(raw.socket, for: [.reading, .closing], until: deadline) {
      case .ready: continue
      case .timedOut: return nil
      case .cancelled: throw CancellationError()
      }
    }
  }
}

import Synchronization

/// What other threads may ask of a session without waiting for its loop.
final class Standing: Sendable {
  /// Whether there is a connection whose subscriptions the broker has answered.
  let isUp = Atomic(false)
  /// Messages published without waiting that the library has not been given yet.
  let detached = Atomic(0)
}

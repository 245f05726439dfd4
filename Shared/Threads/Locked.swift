import Glibc

/// A value behind a lock: what the rooms over C libraries use, all of whose tests run under the thread sanitizer.
///
/// In place of `Synchronization.Mutex`, because the sanitizer does not see through that one: its path
/// under contention lies in a library that is not instrumented, so every contended access is reported as a race.
/// It does know `pthread_mutex_t`.
///
/// Inlinable, since it is generic: a room that calls it makes a version for its own value and body, in place of one that works
/// through their types' descriptions.
///
/// `@unchecked Sendable`: `value` is touched only between lock and unlock.
public final class Locked<Value: Sendable>: @unchecked Sendable {
  @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
  @usableFromInline var value: Value

  @inlinable public init(_ value: Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` with the lock held; short, and never resuming or calling out.
  @inlinable public func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}

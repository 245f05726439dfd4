import Glibc

/// A value behind a lock.
///
/// In place of `Synchronization.Mutex`, because the thread sanitizer does not see through that one: its path
/// under contention lies in a library that is not instrumented, so every contended access is reported as a race.
/// It does know `pthread_mutex_t`.
///
/// `@unchecked Sendable`: `value` is touched only between lock and unlock.
final class Locked<Value: Sendable>: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private var value: Value

  init(_ value: Value) {
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
  func withLock<R>(_ body: (inout Value) throws -> R) rethrows -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}

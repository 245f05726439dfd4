import Loop
import Synchronization

/// Tells those who wait for records of the outbox that Kafka has them, without asking the database: for the replica
/// that publishes.
final class PublicationWatch: Sendable {
  /// One who waits for a few records.
  final class Waiter: Sendable {
    private let missing: Mutex<Set<Int64>>
    private let wakeUp: Wakeup

    fileprivate init(_ ids: [Int64], _ loop: EventLoop) {
      missing = Mutex(Set(ids))
      wakeUp = Wakeup(loop)
    }

    /// Whether all are published.
    var isDone: Bool { missing.withLock(\.isEmpty) }

    /// Returns when all are published, or the time is up.
    func wait(atMost limit: Duration) async { if !isDone { await wakeUp.wait(atMost: limit) } }

    fileprivate func published(_ id: Int64) {
      let isLast = missing.withLock { $0.remove(id) != nil && $0.isEmpty }
      if isLast { wakeUp.signal() }
    }
  }

  private let loop: EventLoop
  private let waiters = Mutex<[Int64: Waiter]>([:])

  init(_ loop: EventLoop) { self.loop = loop }

  func wait(for ids: [Int64]) -> Waiter {
    let waiter = Waiter(ids, loop)
    waiters.withLock { waiters in for id in ids { waiters[id] = waiter } }
    return waiter
  }

  func forget(_ ids: [Int64]) { waiters.withLock { waiters in for id in ids { waiters[id] = nil } } }

  func published(_ ids: [Int64]) {
    let told = waiters.withLock { waiters in
      waiters.isEmpty ? [] : ids.compactMap { id in waiters[id].map { (id, $0) } }
    }
    for (id, waiter) in told { waiter.published(id) }
  }
}

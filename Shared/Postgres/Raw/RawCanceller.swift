import CPQ
import Loop
import Synchronization

/// Owns one `PGcancel`.
///
/// `@unchecked Sendable`: libpq documents `PQcancel` as safe from any thread; the struct is read only and freed
/// in `deinit`.
final class RawCanceller: @unchecked Sendable {
  /// Cancel requests on their way. A server that hangs (stopped, not dead) holds each for ever, so their number
  /// is bounded; a statement whose cancel is not sent is dropped with its connection.
  private static let underWay = Atomic<Int>(0)
  private static let limit = 6

  private let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { self.pointer = pointer }

  deinit { PQfreeCancel(pointer) }

  /// Sends the request on a helper thread (`PQcancel` blocks) and resolves `done` when the server has taken it; from then
  /// on the cancel can hit no later statement.
  func send(on loop: EventLoop, done: Wait<WaitOutcome>) {
    guard Self.underWay.add(1, ordering: .relaxed).newValue <= Self.limit else {
      Self.underWay.subtract(1, ordering: .relaxed)
      return
    }
    loop.task {
      await loop.blocking {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
          _ = PQcancel(self.pointer, text.baseAddress, 256)
        }
      }
      Self.underWay.subtract(1, ordering: .relaxed)
      done.resolve(.ready)
    }
  }
}

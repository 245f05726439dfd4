import Threads

/// Whether it may be tried to store commands as if all of them went at once. Where one may not, the transaction has been for
/// nothing: then the next batches look first.
final class Hope: Sendable {
  /// So many; more where it was dashed before one was through.
  private static let (fewest, most) = (8, 256)

  private let left = Locked((batches: 0, next: fewest))

  /// Asked once for each batch that might have it.
  func take() -> Bool {
    left.withLock { left in
      guard left.batches > 0 else { return true }
      left.batches -= 1
      return false
    }
  }

  func isDashed() { left.withLock { $0 = ($0.next, min($0.next * 2, Self.most)) } }

  func isFulfilled() { left.withLock { $0.next = Self.fewest } }
}

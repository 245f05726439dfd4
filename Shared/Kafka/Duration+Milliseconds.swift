extension Duration {
  /// Whole milliseconds, rounded up, for C: never negative, at most `limit`.
  func milliseconds(atMost limit: Int32 = Int32.max) -> Int32 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < Int64(limit) / 1000 else { return limit }
    return min(limit, Int32(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
  }
}

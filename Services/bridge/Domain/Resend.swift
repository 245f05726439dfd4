/// What has to be sent again after some of a batch did not arrive.
public enum Resend {
  /// From each key's first failure on, everything of that key, in order: what came after a failed one must not stand
  /// before it. What arrived already then arrives twice.
  ///
  /// - Parameter failed: whether each one failed; as many as there are keys.
  /// - Returns: the indices, ascending.
  public static func indices<Key: Hashable>(keys: [Key], failed: [Bool]) -> [Int] {
    guard failed.contains(true) else { return [] }
    var held: Set<Key> = []
    return keys.indices.filter { index in
      if failed[index] { held.insert(keys[index]) }
      return held.contains(keys[index])
    }
  }
}

import Synchronization

/// Answers `/readyz`: every part that can be not ready is asked, and says why.
public final class Health: Sendable {
  /// Nil when ready, otherwise what is not, in a few words.
  public typealias Check = @Sendable () async -> String?

  private let checks = Mutex<[(name: String, check: Check)]>([])

  public init() {}

  /// Adds a part that has to be ready.
  public func register(_ name: String, _ check: @escaping Check) {
    checks.withLock { $0.append((name, check)) }
  }

  /// What is not ready, by name; empty when all is.
  public func failures() async -> [(name: String, reason: String)] {
    var failures: [(String, String)] = []
    for (name, check) in checks.withLock({ $0 }) {
      if let reason = await check() { failures.append((name, reason)) }
    }
    return failures
  }
}

import Crypto
import FoundationEssentials
import HTTP
import Wire

/// Turns a request's API key into a principal.
///
/// A key that was found is believed for half a second, so that a revocation counts everywhere within one (SPEC,
/// section 1) and a busy key costs the database two look-ups a second. One that was not is asked for again at once:
/// it may just have been made.
public actor Authenticator {
  private struct Known {
    let key: StoredKey
    let until: ContinuousClock.Instant
  }

  private static let believed: Duration = .milliseconds(500)

  private let rootHash: [UInt8]
  private let store: any KeyStore
  private var known: [String: Known] = [:]
  private var asking: [String: Task<StoredKey?, any Error>] = [:]

  /// - Parameter rootKey: compared by its hash, in constant time.
  public init(rootKey: String, store: any KeyStore) {
    rootHash = SHA256.hash(data: Array(rootKey.utf8))
    self.store = store
  }

  /// - Returns: nil if the request has no key, or one that is unknown or has expired.
  public func principal(for request: HTTPRequest) async throws -> Principal? {
    guard let text = Self.key(of: request) else { return nil }
    let hash = SHA256.hash(data: Array(text.utf8))
    if constantTimeEqual(hash, rootHash) { return .root }
    guard let key = try await find(Hex.string(hash)) else { return nil }
    if let expiry = key.expiresAt, expiry <= .now { return nil }
    return key.principal
  }

  private func find(_ hash: String) async throws -> StoredKey? {
    if let entry = known[hash], entry.until > .now { return entry.key }
    let task =
      asking[hash]
      ?? Task { [store] in try await store.key(hash: hash) }
    asking[hash] = task
    defer { asking[hash] = nil }
    guard let key = try await task.value else {
      known[hash] = nil
      return nil
    }
    if known.count > 10_000 { known.removeAll() }
    known[hash] = Known(key: key, until: .now + Self.believed)
    return key
  }

  private static func key(of request: HTTPRequest) -> String? {
    if let key = request.headers["X-API-Key"] { return key }
    guard let value = request.headers["Authorization"], value.lowercased().hasPrefix("bearer ") else { return nil }
    return String(value.dropFirst("bearer ".count))
  }
}

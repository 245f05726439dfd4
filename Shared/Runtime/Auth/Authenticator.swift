import Crypto
import FoundationEssentials
import HTTP
import Loop
import Wire

/// Turns a request's API key into a principal.
///
/// A key that was found is believed for half a second, so that a revocation counts everywhere within one (SPEC,
/// section 1) and a busy key costs the database two look-ups a second.
public struct Authenticator: Sendable {
  private let rootHash: [UInt8]
  private let keys: LookupCache<String, StoredKey>

  /// - Parameter rootKey: compared by its hash, in constant time.
  public init(rootKey: String, loop: EventLoop, store: any KeyStore) {
    rootHash = SHA256.hash(data: Array(rootKey.utf8))
    keys = LookupCache(loop, for: .milliseconds(500)) { try await store.key(hash: $0) }
  }

  /// - Returns: nil if the request has no key, or one that is unknown or has expired.
  public func principal(for request: HTTPRequest) async throws -> Principal? {
    guard let text = Self.key(of: request) else { return nil }
    let hash = SHA256.hash(data: Array(text.utf8))
    if constantTimeEqual(hash, rootHash) { return .root }
    guard let key = try await keys.value(hash.hex) else { return nil }
    if let expiry = key.expiresAt, expiry <= .now { return nil }
    return key.principal
  }

  private static func key(of request: HTTPRequest) -> String? {
    if let key = request.headers["X-API-Key"] { return key }
    guard let value = request.headers["Authorization"], value.lowercased().hasPrefix("bearer ") else {
      return nil
    }
    return String(value.dropFirst("bearer ".count))
  }
}

import Crypto
import FoundationEssentials
import HTTP
import Loop
import Threads
import Wire

/// Turns a request's API key into a principal.
///
/// A key that was found is believed for half a second, so that a revocation counts everywhere within one (SPEC,
/// section 1) and a busy key costs the database two look-ups a second. One that is nobody's is remembered too, and
/// who tries many is answered slowly; a key that is known is never held for what others at its address do.
public struct Authenticator: Sendable {
  /// Keys are random: one that is nobody's now will not be given to anybody.
  private static let missIsBelieved: Duration = .seconds(10)
  /// Where Kafka could not be asked, it may have been made elsewhere.
  private static let doubtIsBelieved: Duration = .seconds(1)

  private let rootHash: [UInt8]
  private let loop: EventLoop
  private let store: any KeyStore
  private let uses: KeyUses
  private let keys: LookupCache<String, StoredKey>
  private let attempts = Locked(FailedAttempts())

  /// - Parameters:
  ///   - rootKey: compared by its hash, in constant time.
  ///   - uses: is told which keys were used.
  public init(rootKey: String, loop: EventLoop, store: any KeyStore, uses: KeyUses) {
    rootHash = SHA256.hash(data: Array(rootKey.utf8))
    (self.loop, self.store, self.uses) = (loop, store, uses)
    keys = LookupCache(loop, for: .milliseconds(500)) { try await store.key(hash: $0) }
  }

  /// - Returns: nil if the request has no key, or one that is unknown or has expired.
  /// - Throws: 429 if more requests with unknown keys are held than fit.
  public func principal(for request: HTTPRequest) async throws -> Principal? {
    try await key(for: request)?.principal
  }

  /// The same, with how long it is good for.
  func key(for request: HTTPRequest) async throws -> StoredKey? {
    guard let text = Self.key(of: request) else { return nil }
    let hash = SHA256.hash(data: Array(text.utf8))
    if constantTimeEqual(hash, rootHash) { return StoredKey(principal: .root, expiresAt: nil) }
    let name = hash.hex
    let isMiss = attempts.withLock { $0.isMiss(name, at: .now) }
    var found = isMiss ? nil : try await keys.value(name)
    if found == nil { found = try await unknown(name, isMiss: isMiss, from: Self.address(of: request)) }
    guard let key = found else { return nil }
    let now = Date.now
    if let expiry = key.expiresAt, expiry <= now { return nil }
    uses.note(key.principal, at: now)
    return key
  }

  /// A key that was not found: after what its sender has earned by others, it is looked for once more, now that
  /// every key that was made before would be known.
  private func unknown(_ hash: String, isMiss: Bool, from address: String) async throws -> StoredKey? {
    let delay = attempts.withLock { $0.began(from: address, at: .now) }
    if delay > .zero { try await hold(for: delay) }
    if isMiss { return nil }
    let answer = try await store.settledKey(hash: hash)
    switch answer {
    case .found(let key):
      attempts.withLock { $0.wasNone(from: address) }
      return key
    case .none, .unsettled:
      let now = ContinuousClock.now
      let until = now + (answer.isSettled ? Self.missIsBelieved : Self.doubtIsBelieved)
      attempts.withLock { $0.missed(hash, until: until, at: now) }
      return nil
    }
  }

  private func hold(for delay: Duration) async throws {
    guard attempts.withLock({ $0.hold() }) else {
      throw Problem(429, "Too many requests have keys that are unknown.", headers: [("Retry-After", "2")])
    }
    defer { attempts.withLock { $0.letGo() } }
    try await loop.sleep(for: delay)
  }

  /// Where a request comes from: what the edge says, which is the one hop that is trusted, else who is connected.
  private static func address(of request: HTTPRequest) -> String {
    guard let forwarded = request.headers["X-Forwarded-For"] else { return request.remoteAddress }
    return String((forwarded.split(separator: ",").last ?? "").filter { $0 != " " })
  }

  /// The one key of a request, without the blanks around it; nil if there is none, or if two differ.
  private static func key(of request: HTTPRequest) -> String? {
    let bearers = request.headers.values("Authorization").compactMap { value -> Substring? in
      let words = trimmed(value[...]).split(separator: " ", maxSplits: 1)
      return words.count == 2 && words[0].lowercased() == "bearer" ? words[1] : nil
    }
    let keys = (request.headers.values("X-API-Key").map { $0[...] } + bearers).map(trimmed)
      .filter { !$0.isEmpty }
    guard let key = keys.first, keys.allSatisfy({ $0 == key }) else { return nil }
    return String(key)
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0 == " " || $0 == "\t" }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}

import Crypto
import FoundationEssentials
import HTTP
import Loop
import Observability
import Testing
import Wire

@testable import Runtime

@Suite("API keys")
struct AuthenticatorTests {
  /// A store that counts what it is asked; keys can be made to be known only to the second look.
  private actor Keys: KeyStore {
    var known: Set<String> = []
    var settled: Set<String> = []
    var looks = 0
    var settledLooks = 0
    var answer = KeyAnswer.none

    func key(hash: String) -> StoredKey? {
      looks += 1
      return known.contains(hash) ? stored : nil
    }
    func settledKey(hash: String) -> KeyAnswer {
      settledLooks += 1
      return settled.contains(hash) || known.contains(hash) ? .found(stored) : answer
    }
    func make(_ key: String, late: Bool = false) {
      if late { settled.insert(SHA256.hash(key).hex) } else { known.insert(SHA256.hash(key).hex) }
    }
    private let stored = StoredKey(
      principal: .key(id: .v7(), organisationId: .v7(), name: "k", role: .viewer), expiresAt: nil)
  }

  private let keys = Keys()
  private let authenticator: Authenticator

  private let uses: KeyUses

  init() {
    let loop = EventLoop.start("keys-test")
    uses = KeyUses(loop, Logger(label: "test", level: .critical)) { _ in }
    authenticator = Authenticator(rootKey: "root", loop: loop, store: keys, uses: uses)
  }

  private func ask(_ key: String, from address: String = "192.0.2.1") async throws -> Principal? {
    try await authenticator.principal(
      for: HTTPRequest(
        method: .get, target: "/", headers: ["X-API-Key": key, "X-Forwarded-For": address],
        remoteAddress: "127.0.0.1"))
  }

  @Test(
    "a key is taken from either header, the scheme in any case, blanks dropped; two that differ are none",
    arguments: [
      (["X-API-Key": " root\t"], true), (["Authorization": "bearer root"], true),
      (["Authorization": " BEARER   root "], true),
      (["X-API-Key": "root", "Authorization": "Bearer root"], true),
      (["X-API-Key": "root", "x-api-key": "root"], true),
      (["X-API-Key": "root", "Authorization": "Basic x"], true),
      (["X-API-Key": " ", "Authorization": "Bearer root"], true), (["X-API-Key": " "], false),
      (["X-API-Key": "ROOT"], false), (["Authorization": "Basic root"], false),
      (["Authorization": "root"], false),
      (["X-API-Key": "root", "x-api-key": "other"], false),
      (["X-API-Key": "root", "Authorization": "Bearer other"], false),
      (["Authorization": "Bearer root", "authorization": "Bearer other"], false), ([:], false),
    ] as [(HTTPFields, Bool)])
  func headers(_ headers: HTTPFields, _ isRoot: Bool) async throws {
    let request = HTTPRequest(method: .get, target: "/", headers: headers, remoteAddress: "127.0.0.1")
    #expect(try await authenticator.principal(for: request) == (isRoot ? .root : nil))
  }

  @Test("a wrong key is looked for once, however often it is sent")
  func remembered() async throws {
    for _ in 0..<10 { #expect(try await ask("wrong") == nil) }
    #expect(await keys.looks == 1)
    #expect(await keys.settledLooks == 1)
  }

  @Test("a key that was just made is found by the second look, also after many wrong ones")
  func justMade() async throws {
    for number in 0..<25 { #expect(try await ask("wrong-\(number)") == nil) }
    await keys.make("new", late: true)
    #expect(try await ask("new") != nil)
  }

  @Test("wrong keys of one address are slowed down; known ones of it, and other addresses, are not")
  func slowed() async throws {
    await keys.make("good")
    let loop = EventLoop.start("order-test")
    for number in 0..<25 { _ = try await ask("wrong-\(number)") }
    let order = Order()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        _ = try await ask("one-more")
        await order.add("held")
      }
      group.addTask {
        // Begins after the held one, and ends before it.
        try await loop.sleep(for: .milliseconds(20))
        #expect(try await ask("good") != nil)
        await order.add("good")
        #expect(try await ask("wrong", from: "192.0.2.2") == nil)
        await order.add("another")
      }
      try await group.waitForAll()
    }
    #expect(await order.all == ["good", "another", "held"])
  }

  @Test("the uses of known keys are noted, those of the root key, of unknown and of expired ones are not")
  func used() async throws {
    await keys.make("good")
    let before = Date.now
    let principal = try #require(try await ask("good"))
    for key in ["root", "wrong"] { _ = try await ask(key) }
    guard case .key(let id, _, _, _) = principal else { throw CancellationError() }
    let waiting = uses.waiting
    #expect(Array(waiting.keys) == [id])
    #expect(waiting.values.allSatisfy { $0 >= before })
  }

  @Test("more than can be held at a time are told to come later")
  func flood() async throws {
    let outcomes = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<500 {
        group.addTask {
          do {
            return try await ask("flood-\(number)") == nil ? 401 : 200
          } catch let problem as Problem { return problem.status }
        }
      }
      return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }
    #expect(outcomes[200] == nil)
    #expect(outcomes[429, default: 0] > 0)
    #expect(outcomes[401, default: 0] >= 200)
  }

  @Test("two different keys are none; the scheme in any case, blanks dropped")
  func headers() async throws {
    await keys.make("good")
    func ask(_ headers: HTTPFields) async throws -> Bool {
      try await authenticator.principal(for: HTTPRequest(method: .get, target: "/", headers: headers)) != nil
    }
    #expect(try await ask(["Authorization": "BEARER   good"]))
    #expect(try await ask(["Authorization": "Bearer good", "X-API-Key": "good"]))
    #expect(try await !ask(["Authorization": "Bearer root", "X-API-Key": "good"]))
    #expect(try await !ask(["Authorization": "Bearer"]))
    #expect(try await ask(["Authorization": "Basic x", "X-API-Key": "good"]))
  }

  @Test("what is remembered is bounded, and forgiven")
  func bounds() {
    var attempts = FailedAttempts()
    let start = ContinuousClock.now
    for number in 0..<30_000 { attempts.missed("\(number)", until: start + .seconds(10), at: start) }
    var known = 0
    for number in 0..<30_000 where attempts.isMiss("\(number)", at: start) { known += 1 }
    #expect(known <= 10_000)
    let (before, after) = (
      attempts.isMiss("29999", at: start), attempts.isMiss("29999", at: start + .seconds(10))
    )
    #expect(before && !after)
    for _ in 0..<1000 { _ = attempts.began(from: "a", at: start) }
    let now = attempts.began(from: "a", at: start)
    let later = attempts.began(from: "a", at: start + .seconds(60))
    #expect(now == .seconds(2) && later == .zero)
    for number in 0..<30_000 { _ = attempts.began(from: "\(number)", at: start) }
    #expect(attempts.senderCount <= 10_000)
  }
}

private actor Order {
  var all: [String] = []
  func add(_ name: String) { all.append(name) }
}

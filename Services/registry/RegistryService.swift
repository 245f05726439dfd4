import Crypto
import FoundationEssentials
import HTTP
import Postgres
import RegistryDomain
import Runtime
import Wire

/// The one door of the registry: every use case is a method here, by the object that it is about, and Routes and
/// Messaging call nothing else.
public struct RegistryService: Sendable {
  let database: PostgresClient
  /// What last routes call the broker that devices connect to.
  let broker: String
  let outbox: OutboxRelay
  let idempotency: Idempotency
  /// Nil where devices get no certificates.
  let certification: DeviceCertification?
  /// How long a change waits for Kafka to have what the other services wait for.
  private let patience: Duration
  /// Returns when what the config service said until now of its users is known here, or cannot be.
  private let hearUsers: @Sendable () async -> Void
  /// What new keys are sealed with in answers that are kept: of the root key, which is nowhere stored either.
  private let sealing: [UInt8]

  init(runtime: ServiceRuntime, broker: String, rootKey: String, certification: DeviceCertification?) {
    self.init(
      database: runtime.database, outbox: runtime.outbox, broker: broker, rootKey: rootKey,
      certification: certification, hearUsers: Self.hearing(runtime))
  }

  init(
    database: PostgresClient, outbox: OutboxRelay, broker: String, rootKey: String,
    certification: DeviceCertification? = nil, patience: Duration = .seconds(2),
    hearUsers: @escaping @Sendable () async -> Void = {}
  ) {
    (self.database, self.outbox, self.broker) = (database, outbox, broker)
    (self.certification, self.patience, self.hearUsers) = (certification, patience, hearUsers)
    idempotency = Idempotency(database: database) { _ = try? await outbox.publishedAll() }
    sealing = Array(rootKey.utf8)
  }

  /// For the answer to a new API key.
  var keySeal: AnswerSeal {
    @Sendable func pad(_ answer: JSON) -> [UInt8] {
      HMAC.sha256(for: Array("idempotency \(answer["id"]?.string ?? "")".utf8), using: sealing)
    }
    @Sendable func hash(_ key: String) -> String { SHA256.hash(key).hex }
    return AnswerSeal(
      close: { SealedKey.close($0, pad: pad($0), hash: hash) },
      open: { stored in
        // With another root key than then it does not come out.
        guard let answer = SealedKey.open(stored, pad: pad(stored), hash: hash) else {
          throw Problem.conflict("The key was made, but cannot be shown again: revoke it and make another.")
        }
        return answer
      })
  }

  /// What a change leaves behind: its answer, and the records that tell of it.
  struct Change<Answer: Sendable>: Sendable {
    let answer: Answer
    let records: [Event]
  }

  /// Makes a change: its rows and its records are one transaction.
  ///
  /// It returns when Kafka has what the other services wait for, so that they can act on it at once. When Kafka is
  /// away that takes too long; then it returns all the same: the change is durable, and the relay publishes it later.
  /// - Parameters:
  ///   - once: of a create.
  ///   - refusal: what a client is told when the database refuses.
  /// - Throws: that refusal; what `body` throws.
  func change<Answer: Sendable>(
    _ once: Once<Answer>? = nil, refusal: (PostgresError) -> Problem? = \.refusal,
    _ body: @Sendable (PostgresConnection) async throws -> Change<Answer>
  ) async throws -> Answer {
    try await tell(once, refusal: refusal, body).answer
  }

  /// How often a transaction is tried in all that a deadlock, or a wait that was too long, has ended.
  static let tries = 5

  /// Before another try: who was in the way has a moment to be done, and two that met do not meet again at once.
  func giveWay() async throws { try await database.loop.sleep(for: .milliseconds(.random(in: 5...50))) }

  /// The same, for who must know whether the other services have been told.
  /// - Returns: `isTold` is false if Kafka has not got it in time.
  func tell<Answer: Sendable>(
    _ once: Once<Answer>? = nil, refusal: (PostgresError) -> Problem? = \.refusal, tries: Int = Self.tries,
    _ body: @Sendable (PostgresConnection) async throws -> Change<Answer>
  ) async throws -> (answer: Answer, isTold: Bool) {
    let (answer, records): (Answer, OutboxRecords)
    do {
      (answer, records) = try await database.withTransaction { connection in
        try await once?.begin(on: connection)
        let change = try await body(connection)
        try await once?.keep(change.answer, on: connection)
        return (change.answer, try await outbox.tell(change.records, on: connection))
      }
    } catch let error as PostgresError where error.isWorthAnotherTry && tries > 1 {
      try await giveWay()
      return try await tell(once, refusal: refusal, tries: tries - 1, body)
    } catch let error as PostgresError { throw refusal(error) ?? error }
    return (answer, (try? await outbox.published(records, within: patience)) ?? false)
  }

  /// While Kafka is away, what is known has to do: an artefact whose board is gone is of no use, and does no harm.
  private static func hearing(_ runtime: ServiceRuntime) -> @Sendable () async -> Void {
    let progress = TopicProgress(
      loop: runtime.loop, database: runtime.database, kafka: runtime.producer, consumer: ConfigInbox.consumer,
      topic: .configEvents)
    return { try? await progress.reachEnd(asking: .seconds(2), total: .seconds(3)) }
  }

  /// Removes an object; while something still refers to it that is refused.
  /// - Returns: whether the other services have been told.
  @discardableResult
  func remove(
    inUse: String, _ body: @Sendable (PostgresConnection) async throws -> [Event]
  ) async throws -> Bool {
    await hearUsers()
    return try await tell(refusal: { $0.code == PostgresError.foreignKey ? .conflict(inUse) : $0.refusal }) {
      Change(answer: (), records: try await body($0))
    }.isTold
  }
}

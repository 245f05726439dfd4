import FoundationEssentials
import Kafka
import Loop
import Postgres
import Runtime
import Threads
import Wire

/// A service's own copy of what it must know of the registry: devices, boards, organisations, API keys.
///
/// It is fed by the compacted topic `martlet.registry.entities`. A look-up that misses waits until the copy has
/// reached the end that the topic had when it was asked, and only then says that there is none: so what the
/// registry has confirmed is known here at once (DESIGN, section 2.1).
public struct DeviceDirectory: KeyStore, Sendable {
  /// What a look-up of a device came to.
  public enum Found: Sendable {
    case one(DeviceEntity)
    /// An `mcuId` that several devices of the organisation have, each on another SoC.
    case several([DeviceEntity])
    case none
  }

  /// Hears of devices, by record id, that the copy has anew or otherwise than before, in the transaction that writes them.
  public typealias Changed = @Sendable ([UUID], PostgresConnection) async throws -> Void

  struct Question: Hashable, Sendable {
    let reference: String
    let organisation: UUID?
  }

  private static let consumerName = "directory"
  /// A revocation counts within a second (SPEC, section 1): so long what is known is asked for.
  private static let keyPatience: Duration = .seconds(1)

  let database: PostgresClient
  /// Returns when the copy has reached the end of the topic; who asks meanwhile shares the next look.
  let end: Batcher<Void, Void>
  /// The same for what Kafka must not hold up for longer than a revocation takes to count.
  private let endSoon: Batcher<Void, Void>
  private let keys: Batcher<String, StoredKey?>
  private let devices: Batcher<Question, Found>
  private let remembered: Locked<[Question: DeviceEntity]>
  private let boards: LookupCache<UUID, BoardEntity>
  private let sensorProfiles: LookupCache<UUID, SensorProfileEntity>

  /// Makes the directory and the consumer that feeds it; run the consumer as a service.
  /// - Parameters:
  ///   - delay: slows the copy down, for tests of what happens when it lags.
  ///   - changed: hears of devices that have changed.
  public static func make(
    _ runtime: ServiceRuntime, delay: Duration = .zero, changed: Changed? = nil
  ) -> (directory: DeviceDirectory, consumer: BatchConsumer) {
    let applier = DirectoryApplier(changed: changed)
    let directory = DeviceDirectory(
      loop: runtime.loop, database: runtime.database, kafka: runtime.producer)
    let consumer = runtime.consumer(.init(name: consumerName, topic: .registryEntities)) {
      messages, connection in
      if delay > .zero { try await runtime.loop.sleep(for: delay) }
      return try await applier.apply(messages, connection)
    }
    return (directory, consumer)
  }

  /// What the consumer does with records that it has read: for tests, which write the copy themselves.
  public static func apply(
    _ records: [EntityRecord], _ connection: PostgresConnection, changed: Changed? = nil
  ) async throws {
    try await DirectoryApplier(changed: changed).apply(records, connection)
  }

  init(loop: EventLoop, database: PostgresClient, kafka: KafkaProducer) {
    self.database = database
    let progress = TopicProgress(
      loop: loop, database: database, kafka: kafka, consumer: Self.consumerName, topic: .registryEntities)
    end = Batcher(loop, maximum: 10_000) { callers in
      try await progress.reachEnd()
      return callers
    }
    endSoon = Batcher(loop, maximum: 10_000) { callers in
      try await progress.reachEnd(asking: Self.keyPatience)
      return callers
    }
    keys = Batcher(loop, maximum: 500) { try await Self.keys($0, in: database) }
    remembered = Locked([:])
    devices = Batcher(loop, maximum: 500) { try await Self.find($0, in: database) }
    boards = LookupCache(loop, for: .milliseconds(500), maximum: 1000) {
      try await Self.board($0, in: database)
    }
    sensorProfiles = LookupCache(loop, for: .milliseconds(500), maximum: 1000) {
      try await Self.sensorProfile($0, in: database)
    }
  }

  /// So many devices are remembered; beyond it all are forgotten.
  private static let mostRemembered = 20_000

  /// Finds a device by record id, `deviceId` or `mcuId`, in that order.
  /// - Parameters:
  ///   - organisation: where to look; nil for everywhere.
  ///   - mayBeStale: whether one that was found before will do, however long ago: for callers that check its `rev` when
  ///     they write.
  public func device(_ reference: String, in organisation: UUID?, mayBeStale: Bool = false) async throws
    -> Found
  {
    let question = Question(reference: reference, organisation: organisation)
    if mayBeStale, let device = remembered.withLock({ $0[question] }) { return .one(device) }
    var found = try await devices.submit(question)
    if case .none = found {
      try await end.submit(())
      found = try await devices.submit(question)
    }
    // Another device may come to have the same mcuId, and then it is the one no more.
    let device: DeviceEntity? =
      if case .one(let device) = found, device.deviceId == reference || device.id == UUID(recordId: reference)
      {
        device
      } else { nil }
    remembered.withLock { remembered in
      if remembered.count >= Self.mostRemembered { remembered = [:] }
      remembered[question] = device
    }
    return found
  }

  /// A board, at most half a second old.
  /// - Parameter isFresh: as the registry had confirmed it when this was asked; while Kafka is away, as it is known here.
  public func board(_ id: UUID, isFresh: Bool = false) async throws -> BoardEntity? {
    if isFresh {
      try await caughtUp()
      return try await Self.board(id, in: database)
    }
    if let board = try await boards.value(id) { return board }
    try await end.submit(())
    return try await boards.value(id)
  }

  /// A sensor profile, likewise.
  public func sensorProfile(_ id: UUID, isFresh: Bool = false) async throws -> SensorProfileEntity? {
    if isFresh {
      try await caughtUp()
      return try await Self.sensorProfile(id, in: database)
    }
    if let profile = try await sensorProfiles.value(id) { return profile }
    try await end.submit(())
    return try await sensorProfiles.value(id)
  }

  public func key(hash: String) async throws -> StoredKey? { try await keys.submit(hash) }

  public func settledKey(hash: String) async throws -> KeyAnswer {
    let isSettled = try await caughtUp()
    return try await key(hash: hash).map(KeyAnswer.found) ?? (isSettled ? .none : .unsettled)
  }

  /// Waits until the copy has all that the registry had confirmed when this was asked.
  /// - Returns: false while Kafka is away: what is known here has to do then. But while the copy is being caught up it would be
  ///   a lie that something is not there.
  @discardableResult private func caughtUp() async throws -> Bool {
    do { try await endSoon.submit(()) } catch let error as ConsumerBehind {
      guard case .endUnknown = error.reason else { throw error }
      return false
    }
    return true
  }

  private static func keys(_ hashes: [String], in database: PostgresClient) async throws -> [StoredKey?] {
    let rows = try await database.query(
      """
      SELECT hash, id, organisation_id, name, role, expires_at FROM directory_api_key
      WHERE hash = ANY(\(hashes)::text[])
      """)
    var found: [String: StoredKey] = [:]
    for row in rows {
      let (hash, id, organisation, name, role, expiresAt) = try row.decode(
        (String, UUID, UUID, String, String, Date?).self)
      guard let role = Role(rawValue: role) else { continue }
      found[hash] = StoredKey(
        principal: .key(id: id, organisationId: organisation, name: name, role: role), expiresAt: expiresAt)
    }
    return hashes.map { found[$0] }
  }

  private static func board(_ id: UUID, in database: PostgresClient) async throws -> BoardEntity? {
    let rows = try await database.query("SELECT document FROM directory_board WHERE id = \(id)")
    guard let document = try rows.first?.decode(PostgresJSON.self),
      case .board(let board) = try Entity(.board, json: try JSON(parsing: document.bytes))
    else { return nil }
    return board
  }

  private static func sensorProfile(
    _ id: UUID, in database: PostgresClient
  ) async throws -> SensorProfileEntity? {
    try profile(try await database.query(Self.sensorProfile(id)))
  }

  /// A sensor profile as this transaction sees it.
  public static func sensorProfile(
    _ id: UUID, on connection: PostgresConnection
  ) async throws -> SensorProfileEntity? {
    try profile(try await connection.query(sensorProfile(id)))
  }

  private static func sensorProfile(_ id: UUID) -> PostgresQuery {
    "SELECT document FROM directory_sensor_profile WHERE id = \(id)"
  }

  private static func profile(_ rows: PostgresRows) throws -> SensorProfileEntity? {
    guard let document = try rows.first?.decode(PostgresJSON.self),
      case .sensorProfile(let profile) = try Entity(.sensorProfile, json: try JSON(parsing: document.bytes))
    else { return nil }
    return profile
  }

  static func find(_ questions: [Question], in database: PostgresClient) async throws -> [Found] {
    let rows = try await database.query(
      """
      WITH asked AS MATERIALIZED (
        SELECT * FROM unnest(
          \(questions.map(\.reference))::text[], \(questions.map { UUID(recordId: $0.reference) })::uuid[],
          \(questions.map(\.organisation))::uuid[]) WITH ORDINALITY AS a (reference, id, organisation_id, number)
      ), found AS (
        SELECT a.number, 1 AS rank, d.* FROM asked a JOIN directory_device d ON d.id = a.id
        WHERE a.organisation_id IS NULL OR d.organisation_id = a.organisation_id
        UNION ALL
        SELECT a.number, 2, d.* FROM asked a JOIN directory_device d ON d.device_id = a.reference
        WHERE a.organisation_id IS NULL OR d.organisation_id = a.organisation_id
        UNION ALL
        SELECT a.number, 3, d.* FROM asked a JOIN directory_device d ON d.mcu_id = a.reference
        WHERE a.organisation_id IS NULL OR d.organisation_id = a.organisation_id
      )
      SELECT number, rank, id, device_id, mcu_id, soc, board_id, organisation_id, rev FROM found
      ORDER BY number, rank, device_id
      """)
    var matches: [Int: (rank: Int32, devices: [DeviceEntity])] = [:]
    for row in rows {
      let (number, rank, id, deviceId, mcuId, soc, board, organisation, rev) = try row.decode(
        (Int64, Int32, UUID, String, String, String, UUID, UUID, Int64).self)
      let device = DeviceEntity(
        id: id, deviceId: deviceId, mcuId: mcuId, soc: soc, boardId: board, organisationId: organisation,
        rev: rev)
      if matches[Int(number)] == nil { matches[Int(number)] = (rank, []) }
      if matches[Int(number)]?.rank == rank { matches[Int(number)]?.devices.append(device) }
    }
    return questions.indices.map { index in
      guard let devices = matches[index + 1]?.devices, let first = devices.first else { return .none }
      return devices.count == 1 ? .one(first) : .several(devices)
    }
  }
}

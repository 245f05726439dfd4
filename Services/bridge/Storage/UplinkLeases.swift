import BridgeDomain
import FoundationEssentials
import Postgres

/// The table of who reads which session. Times are the database's own, so that replicas need not agree on the clock.
struct UplinkLeases: Sendable {
  /// How long a lease is good, by the database's clock.
  static let seconds = 4.0
  /// How long its holder counts on it, from before it asked: less, since clocks run unevenly.
  static let validity = Duration.milliseconds(3500)

  let database: PostgresClient
  /// This process.
  let me: UUID
  let replica: String

  /// Says that this replica lives, renews what it holds, and looks at everything.
  /// - Parameters:
  ///   - isAble: whether it reaches the broker.
  ///   - up: those of its sessions that are subscribed.
  /// - Returns: all rows; who lives; and how long until the first lease of another runs out, if any does.
  func renew(isAble: Bool, up: [UplinkSessionName]) async throws -> (
    leases: [UplinkLease], replicas: [LivingReplica], next: Duration?
  ) {
    let results = try await database.pipeline([
      """
      INSERT INTO bridge_replica (process, name, is_able, alive_until)
      VALUES (\(me), \(replica), \(isAble), clock_timestamp() + make_interval(secs => \(Self.seconds)))
      ON CONFLICT (process) DO UPDATE
      SET (is_able, alive_until) = (excluded.is_able, excluded.alive_until)
      """,
      """
      UPDATE uplink_session
      SET (lease_until, is_up) =
        (clock_timestamp() + make_interval(secs => \(Self.seconds)), name = ANY(\(up.map(\.text))::text[]))
      WHERE process = \(me)
      """,
      """
      SELECT name, process, epoch, is_up,
        CASE WHEN lease_until > clock_timestamp()
          THEN extract(epoch FROM lease_until - clock_timestamp())::float8 END
      FROM uplink_session
      """,
      "SELECT process, is_able FROM bridge_replica WHERE alive_until > clock_timestamp()",
      "DELETE FROM bridge_replica WHERE alive_until < clock_timestamp() - interval '1 minute'",
    ])
    var next: Double?
    let leases = try results[2].compactMap { row -> UplinkLease? in
      let (text, holder, epoch, isUp, left) = try row.decode((String, UUID?, Int64, Bool, Double?).self)
      if let left, holder != me { next = min(next ?? left, left) }
      return UplinkSessionName(text).map {
        UplinkLease(name: $0, holder: holder, epoch: epoch, isCurrent: left != nil, isUp: isUp)
      }
    }
    let replicas = try results[3].map { row in
      let (process, isAble) = try row.decode((UUID, Bool).self)
      return LivingReplica(process: process, isAble: isAble)
    }
    return (leases, replicas, next.map { .seconds($0) })
  }

  /// Takes a session that nobody holds and that has not changed hands meanwhile.
  /// - Returns: the new epoch; nil when another one was faster.
  func take(_ name: UplinkSessionName, epoch: Int64) async throws -> Int64? {
    try await database.query(
      """
      UPDATE uplink_session
      SET (process, replica, epoch, lease_until, is_up) =
        (\(me), \(replica), epoch + 1, clock_timestamp() + make_interval(secs => \(Self.seconds)), false)
      WHERE name = \(name.text) AND epoch = \(epoch) AND lease_until <= clock_timestamp()
      RETURNING epoch
      """
    ).first?.decode(Int64.self)
  }

  /// Lets go: the next one may take it at once.
  func release(_ name: UplinkSessionName, epoch: Int64) async throws {
    try await database.query(
      """
      UPDATE uplink_session SET (process, replica, lease_until, is_up) = (NULL, NULL, '-infinity', false)
      WHERE name = \(name.text) AND process = \(me) AND epoch = \(epoch)
      """)
  }

  /// The session has been ended for good.
  func remove(_ name: UplinkSessionName) async throws {
    try await database.query("DELETE FROM uplink_session WHERE name = \(name.text) AND process = \(me)")
  }

  /// Lets go of everything and is gone.
  func depart() async throws {
    try await database.pipeline([
      """
      UPDATE uplink_session SET (process, replica, lease_until, is_up) = (NULL, NULL, '-infinity', false)
      WHERE process = \(me)
      """,
      "DELETE FROM bridge_replica WHERE process = \(me)",
    ])
  }
}

import BridgeDomain
import FoundationEssentials
import Postgres

/// The table of MQTT client ids. Times are the database's own, so that replicas need not agree on the clock.
struct ClientSlots: Sendable {
  /// How long a lease is good; it is renewed each 3 s.
  static let lease = 10

  let database: PostgresClient

  /// Looks at all slots, decides, and writes what was decided, one replica at a time.
  func round(_ replica: SlotPlan.Replica) async throws -> [SlotPlan.Action] {
    try await database.withTransaction { connection in
      let (slots, now) = try await look(connection)
      let actions = SlotPlan.actions(slots: slots, replica: replica, now: now)
      let held = actions.compactMap { action -> Int32? in
        switch action {
        case .claim(let number), .renew(let number), .adopt(let number): Int32(number)
        case .giveUp: nil
        }
      }
      try await connection.query(
        """
        INSERT INTO client_slot (slot, owner, process, lease_until)
        SELECT slot, \(replica.holder.replica), \(replica.holder.process),
          clock_timestamp() + make_interval(secs => \(Double(Self.lease)))
        FROM unnest(\(held)::int[]) AS held (slot)
        ON CONFLICT (slot) DO UPDATE
        SET (owner, process, lease_until, is_leaving) =
          (excluded.owner, excluded.process, excluded.lease_until, false)
        """)
      return actions
    }
  }

  /// Says that this replica is about to go.
  /// - Returns: whether it may end its session, because another one stays.
  func depart(_ holder: ClientSlot.Holder) async throws -> Bool {
    try await database.withTransaction { connection in
      let (slots, now) = try await look(connection)
      try await connection.query(
        "UPDATE client_slot SET is_leaving = true WHERE (owner, process) = (\(holder.replica), \(holder.process))"
      )
      return SlotPlan.mayEndSession(slots: slots, leaving: holder, now: now)
    }
  }

  /// The slot's session has been ended: nothing waits there.
  func free(_ number: Int, _ holder: ClientSlot.Holder) async throws {
    try await database.query(
      """
      UPDATE client_slot SET (owner, process, lease_until, is_leaving) = (NULL, NULL, clock_timestamp(), false)
      WHERE slot = \(Int32(number)) AND (owner, process) = (\(holder.replica), \(holder.process))
      """)
  }

  /// The slot's session stays at the broker for whoever comes next, from now on.
  func leaveBehind(_ number: Int, _ holder: ClientSlot.Holder) async throws {
    try await database.query(
      """
      UPDATE client_slot SET (lease_until, is_leaving) = (clock_timestamp(), false)
      WHERE slot = \(Int32(number)) AND (owner, process) = (\(holder.replica), \(holder.process))
      """)
  }

  private func look(_ connection: PostgresConnection) async throws -> ([ClientSlot], now: Date) {
    try await connection.query("LOCK TABLE client_slot IN SHARE ROW EXCLUSIVE MODE")
    let rows = try await connection.query(
      """
      SELECT now.at, slot, owner, process, lease_until, is_leaving
      FROM (SELECT clock_timestamp() AS at) now LEFT JOIN client_slot ON true ORDER BY slot
      """)
    var now = Date.now
    let slots = try rows.compactMap { row -> ClientSlot? in
      let (at, number, owner, process, until, isLeaving) = try row.decode(
        (Date, Int32?, String?, UUID?, Date?, Bool?).self)
      now = at
      guard let number, let until, let isLeaving else { return nil }
      let holder = owner.flatMap { owner in process.map { ClientSlot.Holder(replica: owner, process: $0) } }
      return ClientSlot(number: Int(number), holder: holder, leaseUntil: until, isLeaving: isLeaving)
    }
    return (slots, now)
  }
}

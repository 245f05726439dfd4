import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// A device that has come or gone.
struct PresenceChange: Sendable {
  let id: UUID
  let deviceId: String
  let organisationId: UUID
  let presence: StoredState.Presence
  let connectionEpoch: Int64
  /// Grows by one with each change of this device's presence.
  let rev: Int64
}

// What a batch of records changes, each kind in one statement for all devices, guarded by the rule of `StateChange`:
// what is older than what is stored changes nothing, nor does what came before the record was made: it is of the
// device's life before, perhaps with another owner.
//
// Presence. A word of it holds until something newer. Any packet that came after the word that a device is gone, or
// without any word, proves it online. `state` comes in the session that brings presence, so its order is known. The
// others are read from sessions of their own: what a device says just before it leaves may be read just after its
// word, and would keep it online for good; they count once `margin` has passed.
extension StateTable {
  /// How much later than the word that a device is gone a packet of another session must have been read. In SQL.
  private static let margin = "interval '200 milliseconds'"

  /// Applies a batch inside its transaction.
  /// - Returns: the devices that have come or gone.
  func apply(_ changes: [StateChange]) async throws -> [PresenceChange] {
    // Look each device up by its key, however many: the planner, which knows nothing of a table that was never
    // analysed, would rather read all of it.
    try await database.query("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)")
    try await note(changes)
    let said = try await believe(changes.compactMap(Claim.init(said:)))
    let heardAgain = try await see(changes)
    let proven = try await believe(heardAgain)
    return said + proven + (try await believe(changes.compactMap(Claim.init(retained:))))
  }

  /// Takes over attributes, each unless the stored one is newer. A device that sends ever new names loses the old
  /// ones at 64 KiB.
  private func note(_ changes: [StateChange]) async throws {
    let changes = changes.filter { !$0.attributes.isEmpty }
    guard !changes.isEmpty else { return }
    let attributes = changes.map { PostgresJSON(bytes: $0.attributesJSON.bytes) }
    let arrived = changes.map { change in change.attributes.values.map(\.arrived).max() }
    try await database.query(
      """
      UPDATE device_state s SET updated_at = now(), attributes =
        CASE WHEN pg_column_size(s.attributes) < 65536 THEN s.attributes ELSE '{}' END || COALESCE((
          SELECT jsonb_object_agg(n.key, n.value - 'arrived') FROM jsonb_each(h.attributes) n
          WHERE COALESCE(s.attributes -> n.key ->> 'at', '') <= n.value ->> 'at' COLLATE "C"
            AND (n.value ->> 'arrived')::timestamptz >= s.created_at), '{}')
      FROM unnest(\(changes.map(\.deviceId))::text[], \(attributes)::jsonb[], \(arrived)::timestamptz[])
        AS h (device_id, attributes, at)
      WHERE s.device_id = h.device_id AND h.at >= s.created_at
      """)
  }

  /// Notes who was heard from, and the way.
  /// - Returns: those that are thereby known to be online.
  private func see(_ changes: [StateChange]) async throws -> [Claim] {
    let heard = changes.filter { $0.seenAt != nil }
    guard !heard.isEmpty else { return [] }
    let routes = heard.map { $0.way?.route.map { PostgresJSONText(bytes: $0.bytes) } }
    return try await database.query(
      """
      WITH seen AS (
        UPDATE device_state s SET last_seen_at = GREATEST(s.last_seen_at, h.at), updated_at = now(),
          route = CASE WHEN s.route_at > h.route_at THEN s.route ELSE h.route END,
          route_at = GREATEST(s.route_at, h.route_at)
        FROM unnest(\(heard.map(\.deviceId))::text[], \(heard.map(\.seenAt))::timestamptz[],
            \(heard.map(\.provenAt))::timestamptz[], \(routes)::json[], \(heard.map { $0.way?.at })::timestamptz[])
          AS h (device_id, at, proven_at, route, route_at)
        WHERE s.device_id = h.device_id AND h.at >= s.created_at
          AND (s.last_seen_at IS NULL OR s.last_seen_at <= h.at OR s.route_at < h.route_at)
        RETURNING s.device_id, s.online, s.online_at, h.at, h.proven_at
      )
      SELECT device_id, at FROM seen WHERE online IS DISTINCT FROM true
        AND (online_at IS NULL OR proven_at >= online_at OR at > online_at + \(unescaped: Self.margin))
      """
    ).decode((String, Date).self).map { Claim(heardAgain: $0.0, at: $0.1) }
  }

  /// That a device is, or is not, connected.
  private struct Claim {
    let deviceId: String
    let presence: StoredState.Presence
    let connections: Int64
    /// Whether it is worth something only for a device of which nothing is known.
    let isRetained: Bool

    /// What presence messages say.
    init?(said change: StateChange) {
      guard let said = change.presence else { return nil }
      deviceId = change.deviceId
      presence = StoredState.Presence(online: said.online, at: said.at, source: .presence)
      (connections, isRetained) = (said.connections, false)
    }

    /// What the broker has kept of them.
    init?(retained change: StateChange) {
      guard let retained = change.retained else { return nil }
      deviceId = change.deviceId
      presence = StoredState.Presence(online: retained.online, at: retained.at, source: .presence)
      (connections, isRetained) = (0, true)
    }

    /// A packet after the word that it was gone: that word came late, or the one that it is back was lost.
    init(heardAgain deviceId: String, at: Date) {
      self.deviceId = deviceId
      presence = StoredState.Presence(online: true, at: at, source: .uplink)
      (connections, isRetained) = (0, false)
    }
  }

  /// Takes claims over, first those that change something, then those that only confirm what is known.
  private func believe(_ claims: [Claim]) async throws -> [PresenceChange] {
    guard !claims.isEmpty else { return [] }
    let (ids, online) = (claims.map(\.deviceId), claims.map(\.presence.online))
    let (times, sources) = (claims.map(\.presence.at), claims.map(\.presence.source.rawValue))
    let (connections, retained) = (claims.map(\.connections), claims.map(\.isRetained))
    return try await database.pipeline([
      """
      UPDATE device_state s SET online = c.online, online_at = c.at, online_source = c.source, updated_at = now(),
        connection_epoch = s.connection_epoch + c.connections, presence_rev = s.presence_rev + 1
      FROM unnest(\(ids)::text[], \(online)::boolean[], \(times)::timestamptz[], \(sources)::text[],
          \(connections)::bigint[], \(retained)::boolean[])
        AS c (device_id, online, at, source, connections, is_retained)
      JOIN device d USING (device_id)
      WHERE s.device_id = c.device_id AND s.online IS DISTINCT FROM c.online AND c.at >= s.created_at
        AND (s.online_at IS NULL OR NOT c.is_retained AND s.online_at <= c.at)
      RETURNING d.id, d.device_id, d.organisation_id, s.online, s.online_at, s.online_source, s.connection_epoch,
        s.presence_rev
      """,
      """
      UPDATE device_state s SET online_at = c.at, online_source = c.source, updated_at = now(),
        connection_epoch = s.connection_epoch + c.connections
      FROM unnest(\(ids)::text[], \(online)::boolean[], \(times)::timestamptz[], \(sources)::text[],
          \(connections)::bigint[], \(retained)::boolean[])
        AS c (device_id, online, at, source, connections, is_retained)
      WHERE s.device_id = c.device_id AND s.online = c.online AND s.online_at < c.at AND NOT c.is_retained
        AND c.at >= s.created_at
      """,
    ])[0].map(Self.presenceChange)
  }

  private static func presenceChange(_ row: PostgresRow) throws -> PresenceChange {
    let (id, deviceId, organisation, online, at, source, epoch, rev) = try row.decode(
      (UUID, String, UUID, Bool, Date, String, Int64, Int64).self)
    guard let source = PresenceSource(rawValue: source) else {
      throw row["online_source"].fault("is unknown")
    }
    return PresenceChange(
      id: id, deviceId: deviceId, organisationId: organisation,
      presence: StoredState.Presence(online: online, at: at, source: source), connectionEpoch: epoch, rev: rev
    )
  }
}

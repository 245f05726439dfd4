import CommandsDomain
import FoundationEssentials
import Postgres
import Wire

/// What is open of the devices for which commands are to be stored: what `LaneAdmission` decides by.
struct DeviceRooms: Sendable {
  /// A device as it was looked up.
  private struct Version: Hashable {
    let record: UUID
    let rev: Int64

    init(_ device: DeviceEntity) { (record, rev) = (device.id, device.rev) }
  }

  /// What comes for a deviceId.
  private struct Coming {
    var count = 0
    var lanes: Set<String> = []
  }

  /// Those that are still as they were looked up.
  private var current: Set<Version> = []
  /// By deviceId, since the window is the deviceId's: for a moment two records may have it.
  private var admissions: [String: LaneAdmission] = [:]
  /// Whether they are connected, by deviceId; without those never heard from.
  private(set) var presence: [String: DevicePresence] = [:]

  /// The devices of these commands, each as it was looked up and with how many come for its deviceId, whose the window is.
  private static func gathered(_ new: [NewCommand]) -> (
    devices: [(device: DeviceEntity, count: Int)], coming: [String: Coming]
  ) {
    var devices: [Version: DeviceEntity] = [:]
    var coming: [String: Coming] = [:]
    for item in new {
      devices[Version(item.device)] = item.device
      coming[item.device.deviceId, default: Coming()].count += 1
      coming[item.device.deviceId]?.lanes.insert(item.command.head.lane)
    }
    return (devices.values.map { ($0, coming[$0.deviceId]?.count ?? 0) }, coming)
  }

  /// Locks the devices of these commands until the transaction ends, and looks.
  /// - Parameters:
  ///   - epoch: the newest, as far as is known; if it is not, no device is as it was.
  ///   - first: statements that go before.
  init(
    for new: [NewCommand], epoch: Int64, after first: [PostgresQuery], on connection: PostgresConnection
  ) async throws {
    let (all, coming) = Self.gathered(new)
    let answers = try await connection.pipeline(
      first + [
        CommandStore.lock(devices: Array(coming.keys)),
        Self.room(of: all, epoch: epoch, forAll: false),
      ])
    var unclear: [String: Coming] = [:]
    for row in answers[answers.count - 1] {
      let (number, given, isUnclear, online, since) = try row.decode(
        (Int64?, Int64?, Bool?, Bool?, Date?).self)
      guard let number, let given, let isUnclear else { continue }
      let device = all[Int(number) - 1].device
      let id = device.deviceId
      current.insert(Version(device))
      if let online { presence[id] = DevicePresence(online: online, since: since) }
      guard let one = coming[id] else { continue }
      if !isUnclear, LaneAdmission.hasRoom(for: one.count, beside: Int(given)) {
        admissions[id] = LaneAdmission(others: Int(given))
      } else {
        unclear[id] = one
      }
    }
    if !unclear.isEmpty { try await look(closer: unclear, on: connection) }
  }

  /// Whether the next command goes; nil if its device is not as it was looked up.
  mutating func admits(_ new: NewCommand) -> Bool? {
    guard current.contains(Version(new.device)) else { return nil }
    let head = new.command.head
    return admissions[head.deviceId]?.admits(
      lane: head.lane, new.command.delivery, isForDevice: head.action == nil)
  }

  /// Seldom needed: it costs a look at each that is open.
  private mutating func look(closer coming: [String: Coming], on connection: PostgresConnection) async throws
  {
    var taken: [String: [String: Int]] = [:]
    var heldUp: [String: Set<String>] = [:]
    var away: Set<String> = []
    let wanted = coming.flatMap { id, one in one.lanes.map { (id, $0) } }
    for row in try await connection.query(
      Self.lanes(of: Array(coming.keys), wanted: wanted.map(\.0), lanes: wanted.map(\.1)))
    {
      let (device, lane, count, isHeldUp) = try row.decode((String, String?, Int64, Bool).self)
      guard let lane else {
        away.insert(device)
        continue
      }
      taken[device, default: [:]][lane, default: 0] += Int(count)
      if isHeldUp { heldUp[device, default: []].insert(lane) }
    }
    for id in coming.keys {
      admissions[id] = LaneAdmission(
        taken: taken[id] ?? [:], heldUp: heldUp[id] ?? [], isAway: away.contains(id))
    }
  }

  /// Locks the devices of these commands and expects that all of them may go at once; a missed guard, if not.
  /// - Parameter presence: told of the devices that have been heard from.
  static func expect(
    for new: [NewCommand], epoch: Int64, on connection: PostgresConnection,
    presence: @escaping @Sendable (String, DevicePresence) -> Void
  ) async throws {
    let (all, coming) = gathered(new)
    try await connection.enqueue([CommandStore.lock(devices: Array(coming.keys))])
    try await connection.enqueue(room(of: all, epoch: epoch, forAll: true)) { rows in
      for row in rows {
        guard
          let (number, _, _, online, since) = try? row.decode((Int64?, Int64?, Bool?, Bool?, Date?).self),
          let number, let online
        else { continue }
        presence(all[Int(number) - 1].device.deviceId, DevicePresence(online: online, since: since))
      }
    }
  }

  /// Of each device that is as the directory has it: how many the bridge was given, whether these or what waits may hold others
  /// up, and its presence; one row without values if there is none. One look for each: a join with all that is open would be
  /// made anew for each row, since the plans of this service have no hash.
  /// - Parameter must: misses a guard where one is not so, or may have no room for as many as come.
  private static func room(of coming: [(device: DeviceEntity, count: Int)], epoch: Int64, forAll must: Bool)
    -> PostgresQuery
  {
    """
    WITH room AS MATERIALIZED (
      SELECT i.number, g.given, g.is_unclear OR EXISTS (
          SELECT FROM open_command w WHERE w.device_id = i.device_id AND w.epoch IS NULL) AS is_unclear,
        i.number_coming, p.online, p.since
      FROM broker_epoch e CROSS JOIN unnest(
          \(coming.map(\.device.id))::uuid[], \(coming.map(\.device.rev))::bigint[],
          \(coming.map(\.device.deviceId))::text[], \(coming.map { Int64($0.count) })::bigint[]
        ) WITH ORDINALITY AS i (record, rev, device_id, number_coming, number)
      JOIN directory_device d ON (d.id, d.rev) = (i.record, i.rev)
      CROSS JOIN LATERAL (
        SELECT count(*) AS given, COALESCE(bool_or(o.exclusive OR o.epoch <> e.epoch), false) AS is_unclear
        FROM open_command o WHERE o.device_id = i.device_id AND o.epoch IS NOT NULL
      ) AS g
      LEFT JOIN device_presence p ON p.device_id = i.device_id
      WHERE e.epoch = \(epoch)
    )
    SELECT number, given, is_unclear, online, since FROM (
      SELECT expect_count(count(*) FILTER (
        WHERE NOT \(must) OR NOT is_unclear AND given + number_coming <= \(Int64(LaneAdmission.most))),
        CASE WHEN \(must) THEN \(Int64(coming.count)) ELSE count(*) END) FROM room
    ) AS guard LEFT JOIN room ON true
    """
  }

  /// How many of each lane are at the broker unanswered, and in which of them something goes first: one that is exclusive, one
  /// that may be lost with the broker and has to go again, one that waits. A row without a lane is of a device to which nobody
  /// listened.
  private static func lanes(of devices: [String], wanted: [String], lanes: [String]) -> PostgresQuery {
    """
    SELECT o.device_id, o.lane,
      count(*) FILTER (WHERE c.status <> 'ACKNOWLEDGED' AND \(unescaped: CommandStore.isForDevice)) AS taken,
      bool_or(o.exclusive OR o.epoch <> e.epoch AND c.status IN ('PENDING', 'SENT')
        AND \(unescaped: CommandStore.isForDevice)) AS is_held_up
    FROM broker_epoch e CROSS JOIN open_command o JOIN command c ON c.id = o.id
    WHERE o.device_id = ANY(\(devices)::text[]) AND o.epoch IS NOT NULL GROUP BY o.device_id, o.lane
    UNION ALL
    SELECT n.device_id, n.lane, 0, true FROM unnest(\(wanted)::text[], \(lanes)::text[]) AS n (device_id, lane)
    WHERE EXISTS (
      SELECT FROM open_command w WHERE w.device_id = n.device_id AND w.lane = n.lane AND w.epoch IS NULL)
    UNION ALL
    SELECT w.device_id, NULL, 0, true FROM waiting_device w
    WHERE w.device_id = ANY(\(devices)::text[]) AND w.failures > 0
      AND EXISTS (SELECT FROM open_command o WHERE o.device_id = w.device_id AND o.epoch IS NULL)
    """
  }
}

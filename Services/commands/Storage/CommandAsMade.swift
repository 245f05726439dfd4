import CommandsDomain
import Postgres
import Wire

extension CommandStore {
  /// The columns of a command that are known when it is made and never change, in the order of `asMade`.
  static let columnsAsMade = """
    id, organisation_id, device_id, hardware_id, device_type, type, params, lane, created_at, created_by, deliver_seconds,
    acknowledge_seconds, complete_seconds, traceparent
    """
}

extension PostgresQuery.StringInterpolation {
  /// An array for each of `CommandStore.columnsAsMade`, for `unnest`.
  mutating func appendInterpolation(asMade commands: [Command]) {
    appendInterpolation(commands.map(\.head.id))
    appendLiteral("::uuid[], ")
    appendInterpolation(commands.map(\.head.organisationId))
    appendLiteral("::uuid[], ")
    appendInterpolation(commands.map(\.head.deviceId))
    appendLiteral("::text[], ")
    appendInterpolation(commands.map(\.hardwareId))
    appendLiteral("::text[], ")
    appendInterpolation(commands.map(\.deviceType))
    appendLiteral("::text[], ")
    appendInterpolation(commands.map(\.head.type))
    appendLiteral("::text[], ")
    appendInterpolation(commands.map { PostgresJSONText(bytes: $0.params.bytes) })
    appendLiteral("::json[], ")
    appendInterpolation(commands.map(\.head.lane))
    appendLiteral("::text[], ")
    appendInterpolation(commands.map(\.createdAt))
    appendLiteral("::timestamptz[], ")
    appendInterpolation(commands.map(\.createdBy))
    appendLiteral("::text[], ")
    appendInterpolation(commands.map { Int32($0.head.timeouts.deliver) })
    appendLiteral("::int[], ")
    appendInterpolation(commands.map { Int32($0.head.timeouts.acknowledge) })
    appendLiteral("::int[], ")
    appendInterpolation(commands.map { Int32($0.head.timeouts.complete) })
    appendLiteral("::int[], ")
    appendInterpolation(commands.map(\.head.traceparent))
    appendLiteral("::text[]")
  }
}

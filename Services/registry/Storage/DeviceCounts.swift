import FoundationEssentials
import Loop
import Observability
import Postgres
import Runtime

/// How many devices there are, kept by the database with each change (`device_count`).
struct DeviceCounts: Sendable {
  /// The devices of an organisation; of all, for nil.
  static func query(_ organisation: UUID?) -> PostgresQuery {
    if let organisation {
      "SELECT COALESCE(sum(devices), 0)::bigint FROM device_count WHERE organisation_id = \(organisation)"
    } else {
      "SELECT COALESCE(sum(devices), 0)::bigint FROM device_count"
    }
  }

  /// Puts the changes of one organisation together, if any has many. The organisation is held: whoever deletes it deletes what
  /// is put together too.
  /// - Returns: whether there may be more to do.
  static func fold(on database: any Querying, atLeast least: Int = 16, limit: Int = 5000) async throws -> Bool
  {
    try await database.query(
      """
      WITH one AS (
        SELECT id FROM organisation o WHERE id = (
          SELECT organisation_id FROM device_count GROUP BY 1 HAVING count(*) >= \(Int64(least)) LIMIT 1)
        FOR KEY SHARE SKIP LOCKED
      ), gone AS (
        DELETE FROM device_count WHERE id IN (
          SELECT id FROM device_count WHERE organisation_id = (SELECT id FROM one)
          LIMIT \(Int64(limit)) FOR UPDATE SKIP LOCKED)
        RETURNING organisation_id, devices
      ), put AS (
        INSERT INTO device_count (organisation_id, devices)
        SELECT organisation_id, sum(devices) FROM gone GROUP BY 1 HAVING sum(devices) <> 0
      )
      SELECT count(*) > 1 FROM gone
      """
    ).first?.decode(Bool.self) ?? false
  }
}

/// Keeps `device_count` short; any number of replicas share the work.
struct DeviceCountSweeper: Service {
  private static let interval: Duration = .seconds(10)

  private let database: PostgresClient
  private let loop: EventLoop
  private let logger: Logger

  init(_ runtime: ServiceRuntime) {
    (database, loop) = (runtime.database, runtime.loop)
    logger = runtime.logger.labelled("device-count-sweeper")
  }

  func run() async throws {
    while true {
      do {
        while try await DeviceCounts.fold(on: database) {}
      } catch is CancellationError {
        throw CancellationError()
      } catch { logger.warning("sweeping again later", ["error": "\(error)"]) }
      try await loop.sleep(for: Self.interval)
    }
  }
}

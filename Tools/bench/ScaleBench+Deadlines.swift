import FoundationEssentials
import Postgres
import Runtime
import Wire

/// Deadlines: how late they are kept, and what that costs, beside few and many open commands.
extension ScaleBench {
  func deadlines() async throws {
    var costs: [Double] = []
    var filled = 0
    for open in [settings.few, settings.open] {
      try await fill(from: filled, to: open)
      filled = open
      costs.append(try await expire(beside: open))
    }
    if let few = costs.first, let many = costs.last, few > 0 {
      Program.print("  a deadline costs \(Int((many / few * 100).rounded())) % of what it costs beside few")
    }
  }

  /// Open commands that are due in a day.
  private func fill(from first: Int, to last: Int) async throws {
    for start in stride(from: first, to: last, by: 50_000) {
      try await insert(count: min(50_000, last - start), due: "interval '1 day'", kind: 1, from: start)
    }
    try await database.query("ANALYZE open_command")
    try await database.query("ANALYZE command")
  }

  private func insert(count: Int, due: String, kind: Int, from first: Int) async throws {
    try await database.query(
      """
      WITH made AS (
        INSERT INTO command (id, organisation_id, device_id, hardware_id, type, params, lane, created_at, created_by,
          deliver_seconds, acknowledge_seconds, complete_seconds, status, deadline, attempts, rev, timeline)
        SELECT gen_random_uuid(), \(tenant.organisation), lpad(to_hex((n % 100000) * 8 + \(Int64(kind))), 16, '0'), 'm', 'REBOOT', '{}',
          'default', now(), 'bench', 86400, 30, 30, 'PENDING', now() + \(unescaped: due), 1, 1, ''
        FROM generate_series(\(Int64(first)), \(Int64(first + count - 1))) n
        RETURNING id, seq, device_id, deadline, lane
      ), counted AS (
        INSERT INTO command_tally (organisation_id, status, number) SELECT \(tenant.organisation), 'PENDING', count(*) FROM made
      )
      INSERT INTO open_command (id, seq, device_id, look_at, epoch, organisation_id, lane)
      SELECT id, seq, device_id, deadline, (SELECT epoch FROM broker_epoch), \(tenant.organisation), lane FROM made
      """)
  }

  /// So many deadlines a second pass, for some seconds.
  /// - Returns: the CPU that one takes, of the commands service and PostgreSQL, in µs.
  private func expire(beside open: Int) async throws -> Double {
    let count = settings.expiring * settings.seconds
    // Spread over the seconds that begin in a while: the rows are to be there first.
    try await insert(
      count: count,
      due: "interval '10 s' + (n - 1000000000) * interval '\(Double(settings.seconds) / Double(count)) s'",
      kind: 2, from: 1_000_000_000)
    let before = ProcessTimes.read(settings.stack.runFolder)
    var left = Int64(count)
    while left > 0 {
      try await loop.sleep(for: .milliseconds(500))
      left =
        try await database.query(
          "SELECT count(*) FROM open_command WHERE organisation_id = \(tenant.organisation) AND look_at < now() + interval '1 h'"
        ).first?.decode(Int64.self) ?? 0
    }
    let after = ProcessTimes.read(settings.stack.runFolder)
    let late = try await database.query(
      """
      WITH gone AS (
        DELETE FROM command WHERE organisation_id = \(tenant.organisation) AND status = 'TIMEOUT' AND deliver_seconds = 86400
          AND bulk_id IS NULL
        RETURNING completed_at, created_at, device_id, seq
      ), late AS (
        SELECT extract(epoch FROM completed_at - created_at)::float8 - 10
          - (row_number() OVER (ORDER BY seq) - 1) * \(Double(settings.seconds) / Double(count))::float8 AS late FROM gone
      )
      SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY late), percentile_disc(0.99) WITHIN GROUP (ORDER BY late), max(late) FROM late
      """
    ).first?.decode((Double, Double, Double).self)
    let used = ["commands", "postgres"].reduce(0) {
      $0 + (after.seconds[$1] ?? 0) - (before.seconds[$1] ?? 0)
    }
    let each = used * 1e6 / Double(count)
    func milliseconds(_ seconds: Double?) -> Int { Int(((seconds ?? 0) * 1000).rounded()) }
    Program.print(
      "\(settings.expiring) deadlines a second beside \(open) open commands: late by p50 \(milliseconds(late?.0)) ms, "
        + "p99 \(milliseconds(late?.1)) ms, at most \(milliseconds(late?.2)) ms; \(Int(each.rounded())) µs of CPU each"
    )
    return each
  }
}

import CommandsDomain
import Foundation
import Postgres
import TestSupport
import Testing

@testable import CommandsService

/// Deadlines beside a million open commands of which 100,000 wait for devices that are away.
@Suite struct SweeperScaleTests {
  @Test(.timeLimit(.minutes(10))) func deadlinesAreKeptHoweverMuchIsOpenAndWaits() async throws {
    let stored = try await Stored()
    try await fill(stored)
    let fixture = stored.fixture
    let dispatcher = TurnDispatcher(service: fixture.service, logger: fixture.runtime.logger)
    let sweeper = DeadlineSweeper(
      service: fixture.service, logger: fixture.runtime.logger, loop: fixture.runtime.loop)
    let running = [Task { try await dispatcher.run() }, Task { try await sweeper.run() }]
    defer { for task in running { task.cancel() } }

    var ids: [UUID] = []
    for _ in 0..<20 {
      // Of devices of their own, and behind others that wait.
      let device = try await stored.device()
      for timeout in 1...3 { ids += try await stored.make(20, device, timeouts: timeout) }
    }
    try await eventually("all have ended", within: 60) {
      try await stored.number("SELECT count(*) FROM open_command WHERE id = ANY(\(ids)::uuid[])") == 0
    }
    let late = try await stored.number(
      """
      SELECT count(*) FROM command WHERE id = ANY(\(ids)::uuid[]) AND (status <> 'TIMEOUT'
        OR completed_at > created_at + (deliver_seconds + 1) * interval '1 s')
      """)
    #expect(late == 0)
    #expect(try await stored.number("SELECT count(*) FROM open_command") == 1_000_000)
  }

  /// A million commands of 100,000 devices, due in an hour; each device's first 9 were given to the bridge, its last one waits
  /// for its device, which is looked at now and then.
  private func fill(_ stored: Stored) async throws {
    for part in Int64(0)..<20 {
      try await stored.database.query(
        """
        WITH made AS (
          INSERT INTO command (id, organisation_id, device_id, hardware_id, type, params, lane, created_at, created_by,
            deliver_seconds, acknowledge_seconds, complete_seconds, status, deadline, attempts, rev, timeline)
          SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, \(stored.organisation),
            lpad(to_hex(n % 100000), 16, '0'), 'm', 'REBOOT', '{}', 'default', now(), 'test', 3600, 3600, 3600, 'PENDING',
            now() + interval '1 h', 1, 1, ''
          FROM generate_series(\(part) * 50000, \(part) * 50000 + 49999) n RETURNING id, seq, device_id, deadline
        )
        INSERT INTO open_command (id, seq, device_id, look_at, epoch, organisation_id, lane)
        SELECT id, seq, device_id, deadline, CASE WHEN \(part) < 18 THEN 0 END, \(stored.organisation), 'default' FROM made
        """)
    }
    try await stored.database.query(
      """
      INSERT INTO waiting_device (device_id, try_at, failures)
      SELECT lpad(to_hex(n), 16, '0'), now() + n * interval '3 ms', 8 FROM generate_series(0, 99999) n
      """)
  }
}

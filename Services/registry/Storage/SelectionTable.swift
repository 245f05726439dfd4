import FoundationEssentials
import Postgres
import Wire

/// The table `device_selection`: filters that other services have asked for, and how far their answers are.
struct SelectionTable: Sendable {
  let database: any Querying

  /// One that is being answered, its row locked.
  struct Selection: Sendable {
    let request: SelectionRequest
    let traceparent: String?
    /// The number of the next page.
    let page: Int
    /// The last device of the page before.
    let after: UUID?
  }

  /// The same once more is the same question.
  static func insert(_ requests: [(request: SelectionRequest, traceparent: String?)]) -> PostgresQuery {
    """
    INSERT INTO device_selection (id, organisation_id, filter, traceparent)
    SELECT * FROM unnest(
      \(requests.map(\.request.id))::uuid[], \(requests.map(\.request.organisationId))::uuid[],
      \(requests.map(\.request.filter))::text[], \(requests.map(\.traceparent))::text[])
    ON CONFLICT (id) DO NOTHING
    """
  }

  /// One that was not looked at for the longest time, locked; every replica takes another.
  func next() async throws -> Selection? {
    try await database.query(
      """
      SELECT id, organisation_id, filter, traceparent, page, after FROM device_selection
      ORDER BY looked_at LIMIT 1 FOR UPDATE SKIP LOCKED
      """
    ).first.map { row in
      let (id, organisation, filter, traceparent, page, after) = try row.decode(
        (UUID, UUID, String, String?, Int32, UUID?).self)
      return Selection(
        request: SelectionRequest(id: id, organisationId: organisation, filter: filter),
        traceparent: traceparent, page: Int(page), after: after)
    }
  }

  /// Its page is written.
  func advance(_ selection: Selection, after: UUID) async throws {
    try await database.query(
      """
      UPDATE device_selection SET page = page + 1, after = \(after), looked_at = clock_timestamp()
      WHERE id = \(selection.request.id)
      """)
  }

  /// It is answered.
  /// - Returns: false if it was already.
  func end(_ selection: Selection) async throws -> Bool {
    try await !database.query(
      "DELETE FROM device_selection WHERE id = \(selection.request.id) AND page = \(Int32(selection.page)) RETURNING 1"
    ).isEmpty
  }
}

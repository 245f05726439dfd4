import FoundationEssentials
import Loop
import Postgres
import Threads
import Wire

/// The records of one transaction, and, once it is stored, the place of their row: after the commit the relay publishes
/// them without reading them back.
public final class OutboxRecords: Sendable {
  /// What the table gave the row.
  struct Place: Sendable {
    let id: Int64
    let createdAt: Date
  }

  let events: [Event]
  private let stored = Locked<Place?>(nil)

  /// - Parameter events: in the order in which the row holds them.
  public init(_ events: [Event]) { self.events = events }

  /// - Parameter answer: to `Outbox.insert`. One that cannot be read leaves the row to be read from the table.
  func stored(_ answer: PostgresRows) {
    let row = try? answer.first?.decode((Int64, Date).self)
    stored.withLock { $0 = row.map { Place(id: $0.0, createdAt: $0.1) } }
  }

  /// Where the row is; nil if that is not known.
  var place: Place? { stored.withLock { $0 } }
}

import FoundationEssentials
import Postgres
import Synchronization
import Wire

/// Records that a transaction writes to the outbox. Given to the relay after the commit they are published without
/// being read back.
public final class OutboxRecords: Sendable {
  /// What the table gave a record.
  public typealias Place = (id: Int64, createdAt: Date)

  private let events: [Event]
  private let places: Mutex<[Place]>

  /// - Parameter places: in the order of the events, if they are known already.
  public init(_ events: [Event], places: [Place] = []) {
    self.events = events
    self.places = Mutex(places)
  }

  /// - Parameter answer: to `Outbox.insert`. One that cannot be read leaves them to be read from the table.
  func stored(_ answer: PostgresRows) {
    let places = (try? answer.decode((Int64, Date).self)) ?? []
    self.places.withLock { $0 = places.map { (id: $0.0, createdAt: $0.1) } }
  }

  /// As the table has them; empty if their places are not known.
  var rows: [Outbox.Row] {
    zip(places.withLock { $0 }, events).map { Outbox.Row(id: $0.id, event: $1, createdAt: $0.createdAt) }
  }
}

/// What was committed in this process and not published yet, bounded: what does not fit is read from the table.
final class OutboxHandoff: Sendable {
  private struct State {
    var rows: [Outbox.Row] = []
    var bytes = 0
    var mustRead = true
  }

  private static let limit = (rows: 4000, bytes: 8 * 1024 * 1024)

  private let state = Mutex(State())

  /// The table holds something that was not handed over.
  func mustRead() { state.withLock { $0.mustRead = true } }

  func add(_ rows: [Outbox.Row]) {
    state.withLock { state in
      state.rows += rows
      state.bytes += rows.reduce(0) { $0 + ($1.event.payload?.count ?? 0) }
      if rows.isEmpty || state.rows.count > Self.limit.rows || state.bytes > Self.limit.bytes {
        state = State()
      }
    }
  }

  /// What was handed over, by id, and whether the table holds more.
  func take() -> (rows: [Outbox.Row], mustRead: Bool) {
    let taken = state.withLock { state in
      defer { state = State(mustRead: false) }
      return state
    }
    return (taken.rows.sorted { $0.id < $1.id }, taken.mustRead)
  }
}

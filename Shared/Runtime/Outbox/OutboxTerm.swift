import FoundationEssentials
import Kafka
import Loop
import Postgres
import Wire

/// What a relay knows while it holds the lock. The relay's own: a class, so that its tables are changed in place.
final class OutboxTerm {
  /// The safety net when no wake-up comes.
  private static let poll: Duration = .seconds(1)
  /// How long an id that was passed by is asked for by name before the next look.
  private static let gapPoll: Duration = .milliseconds(20)
  /// How often public events may go when it is quiet, and in a crowd.
  private static let telling: (quiet: Duration, crowd: Duration) = (.milliseconds(20), .milliseconds(60))
  /// How long, and how many, published rows may wait to be deleted together.
  static let deletion: (after: Duration, count: Int) = (.milliseconds(100), 2000)
  /// What was handed over beyond this is read from the table instead.
  private static let maximumHanded: (rows: Int, bytes: Int) = (2000, 8 * 1024 * 1024)

  let number: Int
  var state = OutboxState()
  var position = OutboxPosition()
  /// The table may hold something that was not handed over.
  var mustRead = true
  var lastRead = ContinuousClock.now
  var lastDeletion = ContinuousClock.now
  private(set) var handed: [Int64: OutboxRecords] = [:]
  private var handedBytes = 0
  var gathering: Gathering

  init(number: Int, loop: EventLoop) {
    self.number = number
    // librdkafka sends a request for each partition, so gathering saves Kafka requests by the dozen.
    gathering = Gathering(loop, atMost: KafkaProducer.window)
  }

  func hand(over records: OutboxRecords) {
    guard let place = records.place else { return mustRead = true }
    handed[place.id] = records
    handedBytes += Self.size(records)
    if handed.count > Self.maximumHanded.rows || handedBytes > Self.maximumHanded.bytes {
      (handed, handedBytes, mustRead) = ([:], 0, true)
    }
  }

  /// Takes a row into hand as it was handed over, if it was.
  func takeHanded(_ id: Int64) {
    guard let records = handed.removeValue(forKey: id), let place = records.place else { return }
    handedBytes -= Self.size(records)
    state.took(id, records.events, createdAt: place.createdAt)
  }

  /// Forgets what was handed over and has been found in the table before, perhaps long ago.
  func forget(below last: Int64) {
    for (id, records) in handed where id <= last && !position.isMissing(id) {
      handed[id] = nil
      handedBytes -= Self.size(records)
    }
  }

  private static func size(_ records: OutboxRecords) -> Int {
    records.events.reduce(0) { $0 + ($1.payload?.count ?? 0) }
  }

  /// Whether the table has to be read though nobody asks for it.
  func isTimeToRead(at now: ContinuousClock.Instant) -> Bool {
    now - lastRead >= (position.hasGaps ? Self.gapPoll : Self.poll)
  }

  /// At most how often what only tells may go now.
  var tellingEach: Duration {
    Self.telling.quiet + (Self.telling.crowd - Self.telling.quiet) * gathering.crowd
  }

  /// Published rows that wait to be deleted.
  enum Backlog { case nothing, some, tooMany }

  /// Whether there are any, and whether they are too many to wait.
  var backlog: Backlog {
    state.finishedCount == 0 ? .nothing : state.finishedCount < Self.deletion.count ? .some : .tooMany
  }

  /// When to look again though nobody has signalled.
  var nextLook: ContinuousClock.Instant {
    var next = lastRead + (position.hasGaps ? Self.gapPoll : Self.poll)
    if backlog != .nothing { next = min(next, lastDeletion + Self.deletion.after) }
    if let go = state.nextGo { next = min(next, go) }
    return next
  }
}

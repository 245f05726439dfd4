import Wire

/// Reports of commands that the broker has, which wait a moment for what their devices answer: one record batch, one
/// transaction of the commands service and one update for what would be two of each.
///
/// `Ticket` says what a report was held with.
public struct HeldReports<Ticket> {
  public struct Report {
    public let event: Event
    public let ticket: Ticket
  }

  private typealias Time = ContinuousClock.Instant

  private var reports: [String: (end: Time, reports: [Report])] = [:]
  /// In order; those that have gone earlier are still in it.
  private var times: [(end: Time, key: String)] = []
  private var first = 0

  public init() {}

  /// When the next are due.
  public var next: ContinuousClock.Instant? { first < times.count ? times[first].end : nil }

  /// - Parameter end: when it goes alone; not earlier than that of those held before.
  public mutating func hold(_ event: Event, until end: ContinuousClock.Instant, _ ticket: Ticket) {
    let report = Report(event: event, ticket: ticket)
    guard reports[event.key]?.reports.append(report) == nil else { return }
    reports[event.key] = (end, [report])
    times.append((end, event.key))
  }

  /// Those of the devices that these events are of, in order: they go before them.
  public mutating func take(before events: [Event]) -> [Report] {
    guard !reports.isEmpty else { return [] }
    return events.flatMap { reports.removeValue(forKey: $0.key)?.reports ?? [] }
  }

  /// Those whose time is up.
  public mutating func takeDue(at now: ContinuousClock.Instant) -> [Report] {
    var due: [Report] = []
    while let next, next <= now {
      let key = times[first].key
      if reports[key]?.end == next { due += reports.removeValue(forKey: key)?.reports ?? [] }
      first += 1
    }
    if first == times.count { (times, first) = ([], 0) }
    return due
  }
}

/// How long what would go alone may wait for what probably follows.
public enum Patience {
  /// For the answer to a command that the broker has just taken: long for a device beside the broker, and nothing to those who
  /// read `SENT` of one that is further away.
  public static let forAnswer: Duration = .milliseconds(2)

  /// After a message of a device: one that says ACKNOWLEDGED often says SUCCESS in the same breath.
  public static func after(_ payload: [UInt8]) -> Duration {
    CompactStatus.read(payload)?.status == .acknowledged ? .microseconds(600) : .zero
  }
}

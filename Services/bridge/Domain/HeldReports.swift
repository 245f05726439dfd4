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

  /// How many times are noted.
  var noted: Int { times.count }

  /// When the next are due.
  public var next: ContinuousClock.Instant? { first < times.count ? times[first].end : nil }

  /// - Parameter end: when it goes alone, but not before those that are held already.
  public mutating func hold(_ event: Event, until end: ContinuousClock.Instant, _ ticket: Ticket) {
    let end = max(end, first < times.count ? times[times.count - 1].end : end)
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
    if first > 64, first > times.count / 2 {
      times.removeFirst(first)
      first = 0
    }
    return due
  }
}

extension HeldReports.Report: Sendable where Ticket: Sendable {}

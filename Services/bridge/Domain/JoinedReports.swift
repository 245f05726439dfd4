import FoundationEssentials
import Wire

/// Makes one record of what is said of a device's commands at once (`UplinkSeries`).
public enum JoinedReports {
  /// A record of that many bytes takes no more.
  private static let largest = 64 * 1024

  private struct Draft {
    let first: Event
    var more: [Event] = []
    var traceparent: String?
    var bytes: Int

    init(_ event: Event) {
      (first, traceparent, bytes) = (event, event.traceparent, event.payload?.count ?? 0)
    }

    /// Whether it takes that one as well: what belongs to another story does not.
    mutating func takes(_ event: Event) -> Bool {
      let size = event.payload?.count ?? 0
      guard bytes + size <= largest,
        traceparent == nil || event.traceparent == nil || traceparent == event.traceparent
      else { return false }
      more.append(event)
      bytes += size
      traceparent = traceparent ?? event.traceparent
      return true
    }

    func events(_ now: Date) -> [Event] {
      // Of what no device said nobody is to think that it was heard from.
      guard let last = more.last, ([first] + more).contains(where: { $0.type == answerType }) else {
        return [first] + more
      }
      var value: [UInt8] = []
      value.reserveCapacity(bytes + (more.count + 1) * 96)
      func add(_ event: Event) {
        UplinkSeries.append(
          type: event.type, time: event.time ?? now, payload: event.payload ?? [], to: &value)
      }
      add(first)
      more.forEach(add)
      return [
        Event(
          topic: first.topic, key: first.key, type: Uplink.Kind.series.rawValue, payload: value,
          traceparent: traceparent, time: last.time)
      ]
    }
  }

  /// The same in fewer records: the order of what is said of a device stays as it is.
  /// - Parameter now: of those that have no time of their own.
  public static func joined(_ events: [Event], now: Date) -> [Event] {
    guard events.count > 1 else { return events }
    var drafts: [Draft] = []
    drafts.reserveCapacity(events.count)
    // The last of each device, if it may take more.
    var open: [String: Int] = [:]
    for event in events where event.topic == .deviceUplink {
      guard mayJoin(event) else {
        open[event.key] = nil
        drafts.append(Draft(event))
        continue
      }
      if let place = open[event.key], drafts[place].takes(event) { continue }
      open[event.key] = drafts.count
      drafts.append(Draft(event))
    }
    return drafts.flatMap { $0.events(now) } + events.filter { $0.topic != .deviceUplink }
  }

  private static let answerType = Uplink.Kind.status.rawValue
  private static let sentType = Uplink.Kind.sent.rawValue

  private static func mayJoin(_ event: Event) -> Bool {
    (event.type == answerType || event.type == sentType)
      && event.payload?.contains(UplinkSeries.separator) == false
  }
}

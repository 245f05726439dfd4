/// The newest events of one organisation, as they came, for all of its readers on this replica. Bounded: what does not fit
/// any more goes, and with it readers that have not read it yet.
public struct LiveFeed: Sendable {
  private var events: [LiveEvent] = []
  private var head = 0
  private var bytes = 0
  private let mostBytes: Int
  private let mostEvents: Int
  /// The number of the oldest event that is kept.
  public private(set) var first = 0
  /// From here on nothing is missing.
  public private(set) var floor: EventPosition
  private var recent = RecentKeys(8192)

  /// - Parameter floor: the position of the first record that it gets.
  public init(from floor: EventPosition, mostEvents: Int = 4096, mostBytes: Int = 4 << 20) {
    (self.floor, self.mostEvents, self.mostBytes) = (floor, mostEvents, mostBytes)
  }

  /// The number that the next event gets.
  public var end: Int { first + events.count - head }

  /// Keeps an event, unless it was there a while ago: whoever publishes sends again what may have got lost.
  /// - Returns: whether it is new.
  @discardableResult
  public mutating func append(_ event: LiveEvent) -> Bool {
    guard recent.insert(event.key) else { return false }
    events.append(event)
    bytes += event.lines.count
    while events.count - head > 1, bytes > mostBytes || events.count - head > mostEvents { dropFirst() }
    return true
  }

  /// What was published before is not news, though it was not kept here.
  public mutating func remember(_ keys: some Sequence<UInt64>) { for key in keys { recent.insert(key) } }

  private mutating func dropFirst() {
    let event = events[head]
    floor.pass(event.topic, event.partition, event.offset)
    bytes -= event.lines.count
    (head, first) = (head + 1, first + 1)
    if head > 1024, head * 2 > events.count {
      events.removeFirst(head)
      head = 0
    }
  }

  /// Takes over partitions that have been added.
  public mutating func extend(to position: EventPosition) {
    floor.advance(to: EventPosition(position.offsets.map { $0.map { _ in 0 } }))
  }

  /// From that number on; empty for one that is not kept any more.
  public func events(from number: Int) -> ArraySlice<LiveEvent> {
    number < first ? [] : events[min(head + number - first, events.count)...]
  }
}

/// Remembers so many keys, the newest.
struct RecentKeys: Sendable {
  private var order: [UInt64] = []
  private var next = 0
  private var known: Set<UInt64> = []
  private let most: Int

  init(_ most: Int) { self.most = most }

  /// - Returns: false if it is there already.
  @discardableResult
  mutating func insert(_ key: UInt64) -> Bool {
    guard known.insert(key).inserted else { return false }
    if order.count < most {
      order.append(key)
    } else {
      known.remove(order[next])
      order[next] = key
      next = (next + 1) % most
    }
    return true
  }
}

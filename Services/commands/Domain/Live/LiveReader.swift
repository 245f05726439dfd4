/// One reader of an organisation's live events: how far it is, and what it is to be told next.
///
/// It reads what was made up for it first (`backlog`), then the feed. Whatever it is told carries its own position as the
/// id: replicas see partitions interleaved in different ways, so no other numbering means the same everywhere.
public struct LiveReader: Sendable {
  public let filter: LiveFilter
  /// All that lies below was told.
  public private(set) var position: EventPosition
  /// Its records between its position and this one are still being read.
  public private(set) var missing: EventPosition?
  private var backlog: [LiveEvent] = []
  private var told = 0
  private var backlogBytes = 0
  /// What is made up is as much as is kept at a time: the rest is read when this has been told.
  public private(set) var isFull = false
  /// Whether it can be told nothing before what it has missed is read.
  public var isWaiting: Bool { missing != nil && !isFull }
  /// The number of the next event of the feed.
  private var next: Int
  private var isLost = false

  /// One that begins now.
  public init(_ filter: LiveFilter, at position: EventPosition, _ feed: LiveFeed) {
    (self.filter, self.position, next) = (filter, position, feed.end)
  }

  /// Whether it has fallen behind what the feed keeps.
  public func isBehind(_ feed: LiveFeed) -> Bool { next < feed.first }

  /// Goes on from a position that the feed still has.
  /// - Returns: false if it has not.
  public mutating func resume(from position: EventPosition, in feed: LiveFeed) -> Bool {
    var floor = position
    floor.advance(to: feed.floor)
    guard floor == padded(position, to: feed.floor) else { return false }
    self.position = floor
    next = feed.first
    return true
  }

  private func padded(_ position: EventPosition, to shape: EventPosition) -> EventPosition {
    var position = position
    position.advance(to: EventPosition(shape.offsets.map { $0.map { _ in 0 } }))
    return position
  }

  /// Goes on from an earlier position, once what lies between has been read.
  public mutating func wait(from position: EventPosition, until now: EventPosition) {
    self.position = padded(position, to: now)
    missing = now
  }

  /// Hears of a record that it has missed; not of any more once it has so many bytes of them.
  public mutating func madeUp(_ event: LiveEvent, atMost bytes: Int) {
    guard let missing, !isFull, !position.holds(event), missing.holds(event), filter.takes(event) else {
      return
    }
    backlog.append(event)
    backlogBytes += event.lines.count
    isFull = backlogBytes >= bytes
  }

  /// All that it missed has been read.
  /// - Parameter known: what was read, by its keys, with its offsets: what has come since may be the same once more.
  public mutating func madeUpAll(_ known: [UInt64: Int64], _ feed: LiveFeed) {
    guard missing.take() != nil, !isBehind(feed) else { return }
    backlog += feed.events(from: next).filter { event in known[event.key].map { $0 >= event.offset } ?? true }
    next = feed.end
  }

  /// What it has missed is not there any more: it is told so, and begins now.
  public mutating func lost(at now: EventPosition, _ feed: LiveFeed) {
    (position, missing, backlog, told, backlogBytes) = (now, nil, [], 0, 0)
    (next, isLost, isFull) = (feed.end, true, false)
  }

  /// The next lines for it, about that many bytes of them.
  /// - Parameters:
  ///   - now: the position of the feed's end.
  ///   - beats: whether it is to hear that the connection lives, and where it is.
  public mutating func take(
    _ feed: LiveFeed, now: EventPosition, cluster: UInt32, beats: Bool, atMost bytes: Int = 32 << 10
  ) -> [UInt8] {
    var out: [UInt8] = []
    if isLost {
      isLost = false
      id(cluster, &out)
      out += Array("event: reset\ndata: {}\n\n".utf8)
    }
    guard !isWaiting else {
      if beats { out += Array(":\n\n".utf8) }
      return out
    }
    while told < backlog.count, out.count < bytes {
      tell(
        backlog[told], &out, cluster, isLast: told + 1 == backlog.count && next == feed.end && !isFull, now)
      told += 1
    }
    if told == backlog.count, told > 0 { (backlog, told, backlogBytes) = ([], 0, 0) }
    if isFull {
      isFull = !backlog.isEmpty
      return out
    }
    if backlog.isEmpty {
      for event in feed.events(from: next) {
        guard out.count < bytes else { break }
        next += 1
        tell(event, &out, cluster, isLast: next == feed.end, now)
      }
    }
    if backlog.isEmpty, next == feed.end { position.advance(to: now) }
    if beats, out.isEmpty {
      out += Array(":\n".utf8)
      id(cluster, &out)
      out.append(0x0A)
    }
    return out
  }

  private mutating func tell(
    _ event: LiveEvent, _ out: inout [UInt8], _ cluster: UInt32, isLast: Bool, _ now: EventPosition
  ) {
    guard !position.holds(event) else { return }
    position.pass(event.topic, event.partition, event.offset)
    guard filter.takes(event) else { return }
    // The newest that is known: others' records lie below it, too, and need not be looked at again.
    if isLast { position.advance(to: now) }
    id(cluster, &out)
    out += event.lines
  }

  private func id(_ cluster: UInt32, _ out: inout [UInt8]) {
    out += Array("id: ".utf8)
    position.write(cluster: cluster, to: &out)
    out.append(0x0A)
  }
}

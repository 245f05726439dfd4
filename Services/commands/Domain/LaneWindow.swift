import FoundationEssentials

/// How the commands that a device may have at the broker unanswered are shared out among its lanes.
///
/// A lane that has one there may have another only while more than `kept` places are free: those are for lanes that have none.
/// So however long a lane is, and whatever it waits for, the first of another lane finds a place. Of those that may go, the
/// lane that has the fewest goes first, and of these the one whose next command is the oldest: lanes come to equal shares as
/// places become free. In a lane none goes before an elder.
public struct LaneWindow: Sendable {
  /// How many commands of one device may be at the broker unanswered: behind 60 expired messages Mosquitto 2.0.11
  /// delivers nothing more (DESIGN, section 3).
  public static let size = 16
  /// How many of these are for lanes that have none there.
  public static let kept = 4

  /// A command that is not at the broker.
  public struct Waiting: Sendable, Equatable {
    public let id: UUID
    /// Its place in the order of creation.
    public let seq: Int64
    /// Whether those behind it wait for its end.
    public let isExclusive: Bool
    /// Whether it waits until its device is heard from.
    public let awaitsDevice: Bool
    /// Whether it goes to the device; else to config, which takes no place and needs nobody to listen.
    public let isForDevice: Bool

    public init(id: UUID, seq: Int64, isExclusive: Bool, awaitsDevice: Bool, isForDevice: Bool = true) {
      (self.id, self.seq, self.isExclusive, self.awaitsDevice) = (id, seq, isExclusive, awaitsDevice)
      self.isForDevice = isForDevice
    }
  }

  /// One lane of a device.
  public struct Lane: Sendable, Equatable {
    /// How many of its commands are at the broker unanswered.
    public var taken: Int
    /// The `seq` of the oldest exclusive one that was handed over and is open: what is younger waits for its end.
    public var exclusive: Int64?
    /// Those that wait, oldest first; not necessarily all.
    public var waiting: [Waiting]

    public init(taken: Int = 0, exclusive: Int64? = nil, waiting: [Waiting] = []) {
      (self.taken, self.exclusive, self.waiting) = (taken, exclusive, waiting)
    }

    /// Adds an open command of the lane.
    /// - Parameters:
    ///   - waits: whether it is not at the broker, or not any more.
    ///   - isTaken: whether it is there unanswered. One that is neither has been acknowledged.
    public mutating func add(_ command: Waiting, waits: Bool, isTaken: Bool) {
      if waits {
        waiting.insert(command, at: waiting.firstIndex { $0.seq > command.seq } ?? waiting.endIndex)
        return
      }
      if isTaken { taken += 1 }
      if command.isExclusive { exclusive = min(exclusive ?? command.seq, command.seq) }
    }

    /// Those of `waiting` that nothing in their own lane holds up: up to the first that does.
    var ready: ArraySlice<Waiting> {
      var end = 0
      for command in waiting {
        if command.awaitsDevice { break }
        if let exclusive, command.seq > exclusive { break }
        end += 1
        if command.isExclusive { break }
      }
      return waiting[..<end]
    }
  }

  /// Whether a lane may have one more there.
  /// - Parameters:
  ///   - lane: how many it has.
  ///   - taken: how many the device has.
  public static func hasRoom(lane: Int, of taken: Int) -> Bool { taken < (lane == 0 ? size : size - kept) }

  /// Which of a device's commands go now, in the order of creation.
  /// - Parameter listens: whether the device is not known to be away. If it is, only the oldest of those for it is tried.
  public static func turns(of lanes: [Lane], listens: Bool) -> [UUID] {
    var lanes = lanes.map { (taken: $0.taken, ready: $0.ready) }
    var taken = lanes.reduce(0) { $0 + $1.taken }
    var turns: [Waiting] = []
    func candidates() -> [(index: Int, next: Waiting)] {
      lanes.indices.compactMap { index in
        guard let next = lanes[index].ready.first,
          !next.isForDevice || hasRoom(lane: lanes[index].taken, of: taken)
        else { return nil }
        return (index, next)
      }
    }
    if !listens {
      for index in lanes.indices {
        let others = lanes[index].ready.prefix { !$0.isForDevice }
        turns += others
        lanes[index].ready.removeFirst(others.count)
      }
      turns += candidates().map(\.next).min { $0.seq < $1.seq }.map { [$0] } ?? []
      return turns.sorted { $0.seq < $1.seq }.map(\.id)
    }
    while let turn = candidates().min(by: {
      (lanes[$0.index].taken, $0.next.seq) < (lanes[$1.index].taken, $1.next.seq)
    }) {
      turns.append(turn.next)
      lanes[turn.index].ready.removeFirst()
      guard turn.next.isForDevice else { continue }
      lanes[turn.index].taken += 1
      taken += 1
    }
    return turns.sorted { $0.seq < $1.seq }.map(\.id)
  }
}

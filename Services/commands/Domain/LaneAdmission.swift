/// Which of a device's new commands go at once: the rule of `LaneWindow` for what comes behind all that is there, one after the
/// other.
public struct LaneAdmission: Sendable {
  private var taken: [String: Int]
  private var total: Int
  private var heldUp: Set<String>
  private let isAway: Bool

  /// - Parameters:
  ///   - taken: how many of each lane are at the broker unanswered.
  ///   - others: how many more of the device are, whatever their lane: only where these leave room in any case.
  ///   - heldUp: the lanes in which something waits, or has to end or to go again first.
  ///   - isAway: whether something waits since nobody listened: nothing goes then.
  public init(taken: [String: Int] = [:], others: Int = 0, heldUp: Set<String> = [], isAway: Bool = false) {
    (self.taken, self.heldUp, self.isAway) = (taken, heldUp, isAway)
    total = taken.values.reduce(others, +)
  }

  /// So many of a device have room whatever their lanes are, with those that are at the broker.
  public static let most = LaneWindow.size - LaneWindow.kept

  /// Whether so many have, with `given` of their device at the broker.
  public static func hasRoom(for count: Int, beside given: Int) -> Bool { given + count <= most }

  /// Whether the next command goes.
  /// - Parameter isForDevice: else it is for config, and takes no place.
  public mutating func admits(lane: String, _ delivery: Delivery, isForDevice: Bool) -> Bool {
    let goes =
      !isAway && !heldUp.contains(lane) && delivery.waitMilliseconds == nil
      && (!isForDevice || LaneWindow.hasRoom(lane: taken[lane, default: 0], of: total))
    if goes, isForDevice {
      taken[lane, default: 0] += 1
      total += 1
    }
    // What comes next in the lane is behind this one.
    if !goes || delivery.isExclusive { heldUp.insert(lane) }
    return goes
  }
}

import FoundationEssentials

/// How fast a campaign makes its commands. Pure: the time is the database's, and what is kept between two steps is a time.
public struct CampaignPace: Sendable {
  /// Commands a minute; nil for as fast as it goes.
  public let perMinute: Int?

  public init(perMinute: Int?) { self.perMinute = perMinute }

  /// So much that was not used is made up for, in seconds, and the rest is lost: so any minute has at most 3.3 % more
  /// commands than the rate says.
  static let slack: TimeInterval = 2
  /// Steps with a rate are that far apart at least: a command each would cost more.
  static let shortest: TimeInterval = 0.1

  /// The commands of one step.
  public struct Step: Sendable, Equatable {
    /// How many may be made now.
    public let count: Int
    /// Until when the rate is used up by them; nil without a rate.
    public let paidUntil: Date?
    /// In how many seconds there will be more to make.
    public let pause: TimeInterval
  }

  /// - Parameters:
  ///   - most: what else bounds this step.
  ///   - now: the database's time.
  ///   - paidUntil: what the step before came to; nil for the first.
  public func step(atMost most: Int, now: Date, paidUntil: Date?) -> Step {
    guard let perMinute else { return Step(count: most, paidUntil: nil, pause: 0) }
    let each = 60 / Double(perMinute)
    let earliest = now.addingTimeInterval(-max(Self.slack, each))
    let start = max(paidUntil ?? now.addingTimeInterval(-each), earliest)
    // Times are kept in whole microseconds: one is not too early.
    let due = Int(min((now.timeIntervalSince(start) + 1e-6) / each, 1e9))
    let count = max(0, min(due, most))
    let paid = start.addingTimeInterval(Double(count) * each)
    return Step(
      count: count, paidUntil: paid,
      pause: due > count ? 0 : max(Self.shortest, paid.addingTimeInterval(each).timeIntervalSince(now)))
  }

  /// Of a batch of one transaction: so many commands, and so many bytes of params.
  private static let (mostCommands, mostBytes) = (100, 4 << 20)

  /// How many commands are one transaction.
  public static func batch(params bytes: Int) -> Int { max(1, min(mostCommands, mostBytes / max(1, bytes))) }

  /// So many of a campaign's commands are on their way to the broker at a time: a whole campaign in front of the bridge would
  /// make a single command wait behind it.
  public static let window = 400
}

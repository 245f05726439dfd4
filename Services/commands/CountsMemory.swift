import FoundationEssentials
import Threads

/// What counting large campaigns has come to: whoever looks on does not make it the service's main work. Others are counted
/// again each time, and so are those that were counted quickly.
struct CountsMemory: Sendable {
  /// So many devices make a campaign large.
  private static let large = 5000
  /// A count that took so long is given again for ten times as long, and at most so long.
  private static let (dear, times, most) = (Duration.milliseconds(20), 10, Duration.seconds(2))
  /// So many campaigns; beyond it all are forgotten.
  private static let room = 1000

  private typealias Known = (until: ContinuousClock.Instant, counted: CampaignStore.Counted)
  private let known = Locked<[UUID: Known]>([:])

  /// A campaign as it was counted a moment ago; nil if it is to be counted.
  func recent(_ id: UUID) -> CampaignStore.Counted? {
    known.withLock { known in known[id].flatMap { $0.until > .now ? $0.counted : nil } }
  }

  func keep(_ counted: CampaignStore.Counted, took: Duration) {
    guard counted.campaign.total > Self.large, took > Self.dear else { return }
    known.withLock { known in
      if known.count >= Self.room { known = [:] }
      known[counted.campaign.id] = (.now + min(took * Self.times, Self.most), counted)
    }
  }

  /// It has changed as a whole.
  func forget(_ id: UUID) { known.withLock { $0[id] = nil } }
}

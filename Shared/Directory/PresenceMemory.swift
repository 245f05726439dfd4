import FoundationEssentials
import Postgres
import Threads

/// What a record of the uplink topic says of its device being there, and when the suite got it.
public enum PresenceWord: Sendable {
  /// Its own word that it has come, or its will.
  case said(online: Bool, at: Date)
  /// What the broker had kept of its word that it is there.
  case retained(at: Date)
  /// It said anything else.
  /// - Parameter isInOrder: whether that came in the session that brings presence, so that which was first is known.
  case heard(at: Date, isInOrder: Bool)
}

/// Which devices this replica has lately written down as connected: their every packet says so again, and is not to cost a
/// look at the table.
public struct PresenceMemory: Sendable {
  /// Another replica may have had the device meanwhile and heard that it went.
  private static let patience: Duration = .seconds(10)
  private static let most = 20_000

  private let known = Locked<[String: ContinuousClock.Instant]>([:])

  public init() {}

  /// What is not known of these words.
  public func news(_ words: [(deviceId: String, word: PresenceWord)]) -> PresenceNews {
    let now = ContinuousClock.now
    return known.withLock { known in
      var news = PresenceNews()
      for (deviceId, word) in words {
        switch word {
        case .said(let online, let at): news.said(online: online, by: deviceId, at: at)
        case .retained(let at): news.retained(deviceId, at: at)
        case .heard(let at, let isInOrder):
          if known[deviceId].map({ $0 < now }) ?? true {
            news.heard(deviceId, at: at, isInOrder: isInOrder)
          }
        }
      }
      return news
    }
  }

  /// What the table had to say to that: which of the devices were in it as connected, and are still.
  public func kept(_ news: PresenceNews, _ online: PostgresRows) {
    let until = ContinuousClock.now + Self.patience
    known.withLock { known in
      for (deviceId, news) in news.devices where news.word?.online == false { known[deviceId] = nil }
      if known.count >= Self.most { known = [:] }
      for deviceId in (try? online.decode(String.self)) ?? [] { known[deviceId] = until }
    }
  }
}

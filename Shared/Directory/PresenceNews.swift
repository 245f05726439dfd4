import FoundationEssentials

/// What a batch of reports says of devices being there, the newest of each kind.
public struct PresenceNews: Sendable, Equatable {
  /// Of one device.
  public struct News: Sendable, Equatable {
    /// Its own word, or its will.
    public var word: Word?
    /// When anything else came from it.
    public var packetAt: Date?
    /// The same, of the session that brings its word, and after that: which was first is known.
    public var orderedAt: Date?
    /// When the broker told what it had kept of an old word that it is there.
    public var retainedAt: Date?
  }

  public struct Word: Sendable, Equatable {
    public let online: Bool
    public let at: Date
  }

  public private(set) var devices: [String: News] = [:]

  public init() {}

  public var isEmpty: Bool { devices.isEmpty }

  /// The device's word that it has come, or its will.
  public mutating func said(online: Bool, by deviceId: String, at: Date) {
    var news = devices[deviceId] ?? News()
    if at >= news.word?.at ?? at { news.word = Word(online: online, at: at) }
    if let ordered = news.orderedAt, at >= ordered { news.orderedAt = nil }
    devices[deviceId] = news
  }

  /// Something came from the device.
  /// - Parameter isInOrder: whether it came in the session that brings presence.
  public mutating func heard(_ deviceId: String, at: Date, isInOrder: Bool) {
    var news = devices[deviceId] ?? News()
    news.packetAt = max(at, news.packetAt ?? at)
    if isInOrder, at >= news.word?.at ?? at { news.orderedAt = max(at, news.orderedAt ?? at) }
    devices[deviceId] = news
  }

  public mutating func retained(_ deviceId: String, at: Date) {
    devices[deviceId, default: News()].retainedAt = at
  }
}

import FoundationEssentials
import Wire

/// One record that came from a device.
public struct DeviceObservation: Sendable {
  /// What it says, as far as the registry keeps it.
  public enum Fact: Sendable {
    /// Anything: the device was heard from.
    case packet
    /// Attributes, and perhaps a route (as `Route.read` gives it).
    case state(DeviceState, route: JSON?)
    /// The device itself, or its will.
    case presence(online: Bool)
    /// What the broker has kept of that: it tells nothing new.
    case retainedPresence(online: Bool)
  }

  public let deviceId: String
  /// When the suite got it.
  public let at: Date
  public let fact: Fact

  public init(deviceId: String, at: Date, fact: Fact) {
    (self.deviceId, self.at, self.fact) = (deviceId, at, fact)
  }
}

/// What a batch of records comes to for one device: the newest of everything.
///
/// "Newer" is by time, and at the same time by order. Storage applies it to the stored state by the same rule, so
/// that a late record never overwrites a newer one, however the records were cut into batches.
public struct StateChange: Sendable, Equatable {
  /// The way that a packet came.
  public struct Way: Sendable, Equatable {
    /// Nil for the device's own connection.
    public let route: JSON?
    /// When the device sent it: what it kept for later tells nothing of where it is now.
    public let at: Date
  }
  public struct Attribute: Sendable, Equatable {
    public let value: JSON
    /// When it was measured.
    public let at: Date
    /// When the suite got it.
    public let arrived: Date
  }
  public struct Presence: Sendable, Equatable {
    public let online: Bool
    public let at: Date
    /// How many times the device connected.
    public let connections: Int64
  }
  /// What the broker has kept, for who is of unknown presence.
  public struct Retained: Sendable, Equatable {
    public let online: Bool
    public let at: Date
  }

  public let deviceId: String
  /// When the newest packet came.
  public private(set) var seenAt: Date?
  public private(set) var way: Way?
  public private(set) var attributes: [ExactText: Attribute] = [:]
  public private(set) var presence: Presence?
  public private(set) var retained: Retained?
  /// The newest state that came after all words of presence. Both come in one session, in the order in which the broker
  /// had them, so that it proves the device online however close it came; other packets come by sessions of their own.
  public private(set) var provenAt: Date?

  init(deviceId: String) { self.deviceId = deviceId }

  mutating func apply(_ heard: DeviceObservation) {
    switch heard.fact {
    case .packet: saw(heard.at, Way(route: nil, at: heard.at))
    case .state(let state, let route):
      let at = Self.time(of: state, heard: heard.at)
      saw(heard.at, Way(route: route, at: at))
      if heard.at >= max(presence?.at ?? heard.at, provenAt ?? heard.at) { provenAt = heard.at }
      for member in state.attributes.members where at >= attributes[ExactText(member.name)]?.at ?? at {
        attributes[ExactText(member.name)] = Attribute(
          value: member.value, at: at, arrived: heard.at)
      }
    case .presence(let online):
      // That a device is gone is said by its will: nobody has heard it.
      if online { saw(heard.at, Way(route: nil, at: heard.at)) }
      let said = presence ?? Presence(online: online, at: heard.at, connections: 0)
      presence = Presence(
        online: heard.at >= said.at ? online : said.online, at: max(heard.at, said.at),
        connections: said.connections + (online ? 1 : 0))
      if let proven = provenAt, heard.at >= proven { provenAt = nil }
    case .retainedPresence(let online):
      if heard.at >= retained?.at ?? heard.at { retained = Retained(online: online, at: heard.at) }
    }
  }

  /// When the device measured it: by its own clock, if that can be right. One that has lost its time, or is far ahead,
  /// must not keep out what comes after it, or be kept out itself.
  private static func time(of state: DeviceState, heard: Date) -> Date {
    guard let at = state.at, at >= earliest, at <= heard.addingTimeInterval(300) else { return heard }
    return at
  }

  /// 2020: no clock that was ever set is before it.
  private static let earliest = Date(timeIntervalSince1970: 1_577_836_800)

  private mutating func saw(_ at: Date, _ way: Way) {
    seenAt = max(at, seenAt ?? at)
    if way.at >= self.way?.at ?? way.at { self.way = way }
  }

  /// Folds records into one change for each device.
  public static func fold(_ records: [DeviceObservation]) -> [StateChange] {
    var changes: [String: StateChange] = [:]
    for record in records {
      changes[record.deviceId, default: StateChange(deviceId: record.deviceId)].apply(record)
    }
    return Array(changes.values)
  }

  /// The attributes as they are stored, by name (`StoredAttribute`), and when each `arrived`.
  public var attributesJSON: JSON {
    .object(
      JSONObject(
        attributes.sorted { $0.key < $1.key }.map { name, attribute in
          Named(
            name: name.text,
            value: StoredAttribute.json(attribute.value, at: attribute.at, arrived: attribute.arrived))
        }))
  }
}

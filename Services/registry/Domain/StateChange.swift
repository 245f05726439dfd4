import FoundationEssentials
import Wire

/// One record that came from a device.
public struct Heard: Sendable {
  /// What it says, as far as the registry keeps it.
  public enum What: Sendable {
    /// Anything: the device was heard from.
    case packet
    /// Attributes, and perhaps a route (as `Route.read` gives it).
    case state(DeviceState, route: JSON?)
    /// The device itself, or its will.
    case presence(online: Bool)
  }

  public let deviceId: String
  /// When the suite got it.
  public let at: Date
  public let what: What

  public init(deviceId: String, at: Date, what: What) {
    (self.deviceId, self.at, self.what) = (deviceId, at, what)
  }
}

/// What a batch of records comes to for one device: the newest of everything.
///
/// "Newer" is by time, and at the same time by order. Storage applies it to the stored state by the same rule, so
/// that a late record never overwrites a newer one, however the records were cut into batches.
public struct StateChange: Sendable, Equatable {
  /// A packet, and the way it came: nil for the device's own connection.
  public struct Packet: Sendable, Equatable {
    public let at: Date
    public let route: JSON?
  }
  public struct Attribute: Sendable, Equatable {
    public let value: JSON
    public let at: Date
  }
  public struct Presence: Sendable, Equatable {
    public let online: Bool
    public let at: Date
    /// How many times the device connected.
    public let connections: Int64
  }

  public let deviceId: String
  public private(set) var packet: Packet?
  public private(set) var attributes: [String: Attribute] = [:]
  public private(set) var presence: Presence?

  init(deviceId: String) { self.deviceId = deviceId }

  mutating func apply(_ heard: Heard) {
    switch heard.what {
    case .packet: saw(heard.at, route: nil)
    case .state(let state, let route):
      saw(heard.at, route: route)
      // A clock that is ahead must not keep out what comes after it.
      let at = min(state.at ?? heard.at, heard.at)
      for member in state.attributes.members where at >= attributes[member.name]?.at ?? at {
        attributes[member.name] = Attribute(value: member.value, at: at)
      }
    case .presence(let online):
      // That a device is gone is said by its will: nobody has heard it.
      if online { saw(heard.at, route: nil) }
      let said = presence ?? Presence(online: online, at: heard.at, connections: 0)
      presence = Presence(
        online: heard.at >= said.at ? online : said.online, at: max(heard.at, said.at),
        connections: said.connections + (online ? 1 : 0))
    }
  }

  private mutating func saw(_ at: Date, route: JSON?) {
    if at >= packet?.at ?? at { packet = Packet(at: at, route: route) }
  }

  /// Folds records into one change for each device.
  public static func fold(_ records: [Heard]) -> [StateChange] {
    var changes: [String: StateChange] = [:]
    for record in records {
      changes[record.deviceId, default: StateChange(deviceId: record.deviceId)].apply(record)
    }
    return Array(changes.values)
  }

  /// The attributes as they are stored: by name `{value, at}`.
  public var attributesJSON: JSON {
    .object(
      attributes.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { object, attribute in
        object[attribute.key] = ["value": attribute.value.value, "at": .string(attribute.value.at.rfc3339)]
      })
  }
}

import FoundationEssentials
import Wire

/// The latest that is known of a device.
public struct StoredState: Sendable, Equatable {
  /// Whether the device is connected, and how that is known.
  public struct Presence: Sendable, Equatable {
    public let online: Bool
    public let at: Date
    public let source: PresenceSource

    public init(online: Bool, at: Date, source: PresenceSource) {
      (self.online, self.at, self.source) = (online, at, source)
    }
  }

  public let createdAt: Date
  public let updatedAt: Date
  /// By name `{value, text?, at}` (`StoredAttribute`).
  public let attributes: JSONObject
  /// When the last packet came; nil if none ever did.
  public let lastSeenAt: Date?
  /// The route that the last packet named, in the order in which the device sent them; nil if the device itself was connected.
  public let route: JSON?
  /// When the device sent that packet; nil if none ever came.
  public let routeAt: Date?
  public let presence: Presence?
  /// How many times the device has connected.
  public let connectionEpoch: Int64

  public init(
    createdAt: Date, updatedAt: Date, attributes: JSONObject, lastSeenAt: Date?, route: JSON?,
    routeAt: Date?, presence: Presence?, connectionEpoch: Int64
  ) {
    (self.createdAt, self.updatedAt, self.attributes) = (createdAt, updatedAt, attributes)
    (self.lastSeenAt, self.route, self.routeAt) = (lastSeenAt, route, routeAt)
    self.presence = presence
    self.connectionEpoch = connectionEpoch
  }

  /// The last route; nil if the device has never been heard from.
  /// - Parameter broker: what to call the broker that devices connect to.
  public func lastRoute(broker: String) -> JSON? {
    routeAt.map { route ?? Route.mqtt(broker: broker, at: $0) }
  }

  /// As the API writes it.
  /// - Parameter now: for the age of the evidence.
  public func json(broker: String, now: Date) -> JSON {
    let route = lastRoute(broker: broker)
    var others = attributes.mapValues(StoredAttribute.shown)
    func software(_ name: String) -> JSON? {
      guard let value = others[name]?["value"], DeviceSoftware.fits(name, value) else { return nil }
      others[name] = nil
      return value
    }
    let (id, version) = (software(DeviceSoftware.applicationId), software(DeviceSoftware.applicationVersion))
    let algorithms = software(DeviceSoftware.algorithms)
    return .compact([
      "createdAt": .string(createdAt.rfc3339), "updatedAt": .string(updatedAt.rfc3339),
      "applicationId": id, "applicationVersion": version, "algorithms": algorithms,
      "lastRoute": route, "lastRouteInterface": route?["interface"],
      "lastRouteTime": route.flatMap { _ in routeAt }.map { .string($0.rfc3339) },
      "lastRouteUdpAddress": route?["udp"]?["address"], "lastRouteUdpTime": route?["udp"]?["time"],
      "lastSeenAt": lastSeenAt.map { .string($0.rfc3339) }, "online": presence.map { .bool($0.online) },
      "onlineEvidence": presence?.evidence(now: now),
      "connectionEpoch": connectionEpoch > 0 ? .int(connectionEpoch) : nil,
      "attributes": others.isEmpty ? nil : .object(others),
    ])
  }
}

/// How it is known whether a device is connected.
public enum PresenceSource: String, Sendable, CaseIterable {
  /// It, or its will, said so.
  case presence
  /// It was heard from, with no word that it has gone since.
  case uplink
}

extension StoredState.Presence {
  fileprivate func evidence(now: Date) -> JSON {
    let age = max(0, now.timeIntervalSince(at))
    return [
      "source": .string(source.rawValue), "at": .string(at.rfc3339),
      "ageSeconds": .double((age * 1000).rounded() / 1000),
    ]
  }
}

import FoundationEssentials
import Wire

/// A part of a device that has a configuration of its own: a sensor, a modem.
public struct Component: Sendable, Equatable {
  public let id: UUID
  /// The record id of its device.
  public let device: UUID
  /// Its name on the device.
  public let key: String
  public let sensorProfileId: UUID
  public let name: String?
  /// Grows by one with each change.
  public let rev: Int64

  /// So many a device may have: all of them are in the record that the other services keep of it.
  public static let maximumCount = 256

  public init(id: UUID, device: UUID, key: String, sensorProfileId: UUID, name: String?, rev: Int64) {
    (self.id, self.device, self.key) = (id, device, key)
    (self.sensorProfileId, self.name, self.rev) = (sensorProfileId, name, rev)
  }

  /// What an upsert makes of it: what is left out stays, a null name removes it.
  public func changed(by change: ComponentChange) -> Component {
    let changed = Component(
      id: id, device: device, key: key, sensorProfileId: change.sensorProfileId,
      name: change.hasName ? change.name : name, rev: rev + 1)
    return changed.json(deviceId: "") == json(deviceId: "") ? self : changed
  }

  /// As the API writes it.
  public func json(deviceId: String) -> JSON {
    .compact([
      "id": .string(id.text), "deviceId": .string(deviceId), "key": .string(key),
      "sensorProfileId": .string(sensorProfileId.text), "name": name.map { .string($0) },
    ])
  }

  /// What the other services keep of it.
  public var entity: ComponentEntity { ComponentEntity(id: id, key: key, sensorProfileId: sensorProfileId) }
}

/// The body of an upsert.
public struct ComponentChange: Sendable {
  public let key: String
  public let sensorProfileId: UUID
  public let name: String?
  let hasName: Bool

  public init(_ body: inout JSONFields) {
    key = body.required(
      "key",
      .string(
        matching: "1 to 64 letters, digits, dots, underscores and hyphens", Identifier.isName))
    sensorProfileId = body.required("sensorProfileId", .uuid)
    hasName = body.has("name")
    name = body.optional("name", .string(1...200))
  }

  /// A component that was not there.
  public func component(of device: UUID, id: UUID) -> Component {
    Component(id: id, device: device, key: key, sensorProfileId: sensorProfileId, name: name, rev: 1)
  }
}

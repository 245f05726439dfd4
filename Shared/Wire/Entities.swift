import FoundationEssentials

/// What the other services know of the registry: the values on `martlet.registry.entities`.
///
/// Each carries `rev`, which grows with every change of that entity, so that an older copy never replaces a newer.
public enum Entity: Sendable, Equatable {
  case organisation(OrganisationEntity)
  case apiKey(APIKeyEntity)
  case board(BoardEntity)
  case device(DeviceEntity)
  case sensorProfile(SensorProfileEntity)
  case group(GroupEntity)
}

/// The kinds of entities: the first part of the record's key.
public enum EntityKind: String, Sendable, CaseIterable {
  case organisation, apiKey, board, device, sensorProfile, group

  /// The Kafka key, such as `device/0197…`.
  public func key(_ id: UUID) -> String { "\(rawValue)/\(id.text)" }

  /// Reads a record's key.
  public static func parse(key: String) -> (EntityKind, UUID)? {
    let parts = key.split(separator: "/")
    guard parts.count == 2, let kind = EntityKind(rawValue: String(parts[0])),
      let id = UUID(uuidString: String(parts[1]))
    else { return nil }
    return (kind, id)
  }
}

public struct OrganisationEntity: Sendable, Equatable {
  public let id: UUID
  public let name: String
  public let slug: String
  public let rev: Int64

  public init(id: UUID, name: String, slug: String, rev: Int64) {
    (self.id, self.name, self.slug, self.rev) = (id, name, slug, rev)
  }
}

/// An API key, as its SHA-256 only. That it is revoked is told by an `EntityDeletion`.
public struct APIKeyEntity: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let name: String
  public let role: Role
  /// SHA-256 of the key, 64 hex characters.
  public let hash: String
  public let expiresAt: Date?
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, name: String, role: Role, hash: String, expiresAt: Date?, rev: Int64
  ) {
    (self.id, self.organisationId, self.name, self.role) = (id, organisationId, name, role)
    (self.hash, self.expiresAt, self.rev) = (hash, expiresAt, rev)
  }
}

public struct BoardEntity: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let soc: String
  public let isPublic: Bool
  public let deviceType: String?
  /// JSON Schemas by slot.
  public let configSchemas: JSONObject
  public let commandCatalogue: JSONObject
  /// `{deliverSeconds?, acknowledgeSeconds?, completeSeconds?}`
  public let commandTimeouts: JSONObject
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, soc: String, isPublic: Bool, deviceType: String?,
    configSchemas: JSONObject, commandCatalogue: JSONObject, commandTimeouts: JSONObject = JSONObject(),
    rev: Int64
  ) {
    (self.id, self.organisationId, self.soc, self.isPublic) = (id, organisationId, soc, isPublic)
    (self.deviceType, self.configSchemas) = (deviceType, configSchemas)
    (self.commandCatalogue, self.commandTimeouts, self.rev) = (commandCatalogue, commandTimeouts, rev)
  }
}

/// A device with all that decides what applies to it: its groups and components come and go in one order with itself.
public struct DeviceEntity: Sendable, Equatable {
  public let id: UUID
  public let deviceId: String
  public let mcuId: String
  public let soc: String
  public let boardId: UUID
  public let organisationId: UUID
  public let networkId: UUID?
  /// In ascending order.
  public let groupIds: [UUID]
  public let components: [ComponentEntity]
  /// Grows with each change of any of these: not what the registry's ETag says.
  public let rev: Int64

  public init(
    id: UUID, deviceId: String, mcuId: String, soc: String, boardId: UUID, organisationId: UUID,
    networkId: UUID? = nil, groupIds: [UUID] = [], components: [ComponentEntity] = [], rev: Int64
  ) {
    (self.id, self.deviceId, self.mcuId, self.soc) = (id, deviceId, mcuId, soc)
    (self.boardId, self.organisationId, self.networkId) = (boardId, organisationId, networkId)
    (self.groupIds, self.components, self.rev) = (groupIds, components, rev)
  }
}

/// A part of a device that has a configuration of its own.
public struct ComponentEntity: Sendable, Equatable {
  public let id: UUID
  public let key: String
  public let sensorProfileId: UUID

  public init(id: UUID, key: String, sensorProfileId: UUID) {
    (self.id, self.key, self.sensorProfileId) = (id, key, sensorProfileId)
  }

  public var json: JSON {
    ["id": .string(id.text), "key": .string(key), "sensorProfileId": .string(sensorProfileId.text)]
  }

  /// Reads one; unknown fields are passed over, as in all entities.
  public init?(json: JSON) {
    guard let id = json["id"]?.string.flatMap({ UUID(text: $0) }), let key = json["key"]?.string,
      let profile = json["sensorProfileId"]?.string.flatMap({ UUID(text: $0) })
    else { return nil }
    self.init(id: id, key: key, sensorProfileId: profile)
  }

  static let shape = JSONShape<ComponentEntity?>(nil, expected: "a component") { json in
    ComponentEntity(json: json).map { .some($0) }
  }
}

public struct SensorProfileEntity: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let name: String
  /// JSON Schemas by slot.
  public let configSchemas: JSONObject
  public let rev: Int64

  public init(id: UUID, organisationId: UUID, name: String, configSchemas: JSONObject, rev: Int64) {
    (self.id, self.organisationId, self.name) = (id, organisationId, name)
    (self.configSchemas, self.rev) = (configSchemas, rev)
  }
}

/// A group of devices; who is in it is said by the devices.
public struct GroupEntity: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let name: String
  public let rev: Int64

  public init(id: UUID, organisationId: UUID, name: String, rev: Int64) {
    (self.id, self.organisationId, self.name, self.rev) = (id, organisationId, name, rev)
  }
}

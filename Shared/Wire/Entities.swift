import FoundationEssentials

/// What the other services know of the registry: the values on `martlet.registry.entities`.
///
/// Each carries `rev`, which grows with every change of that entity, so that an older copy never replaces a newer.
public enum Entity: Sendable, Equatable {
  case organisation(OrganisationEntity)
  case apiKey(APIKeyEntity)
  case board(BoardEntity)
  case device(DeviceEntity)
}

/// The kinds of entities: the first part of the record's key.
public enum EntityKind: String, Sendable, CaseIterable {
  case organisation, apiKey, board, device

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
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, soc: String, isPublic: Bool, deviceType: String?,
    configSchemas: JSONObject,
    commandCatalogue: JSONObject, rev: Int64
  ) {
    (self.id, self.organisationId, self.soc, self.isPublic) = (id, organisationId, soc, isPublic)
    (self.deviceType, self.configSchemas, self.commandCatalogue) = (
      deviceType, configSchemas, commandCatalogue
    )
    self.rev = rev
  }
}

public struct DeviceEntity: Sendable, Equatable {
  public let id: UUID
  public let deviceId: String
  public let mcuId: String
  public let soc: String
  public let boardId: UUID
  public let organisationId: UUID
  public let rev: Int64

  public init(
    id: UUID, deviceId: String, mcuId: String, soc: String, boardId: UUID, organisationId: UUID, rev: Int64
  ) {
    (self.id, self.deviceId, self.mcuId, self.soc) = (id, deviceId, mcuId, soc)
    (self.boardId, self.organisationId, self.rev) = (boardId, organisationId, rev)
  }
}

extension Entity {
  /// Its kind.
  public var kind: EntityKind {
    switch self {
    case .organisation: .organisation
    case .apiKey: .apiKey
    case .board: .board
    case .device: .device
    }
  }

  /// Its record id.
  public var id: UUID {
    switch self {
    case .organisation(let entity): entity.id
    case .apiKey(let entity): entity.id
    case .board(let entity): entity.id
    case .device(let entity): entity.id
    }
  }

  /// The record for the entities topic.
  public func event(traceparent: String?) -> Event {
    Event(
      topic: .registryEntities, key: kind.key(id), type: "martlet.entity.\(kind.rawValue)", json: json,
      traceparent: traceparent)
  }

  /// The value on the topic.
  public var json: JSON {
    switch self {
    case .organisation(let e):
      ["id": .string(e.id.text), "name": .string(e.name), "slug": .string(e.slug), "rev": .int(e.rev)]
    case .apiKey(let e):
      .compact([
        "id": .string(e.id.text), "organisationId": .string(e.organisationId.text), "name": .string(e.name),
        "role": .string(e.role.rawValue), "hash": .string(e.hash),
        "expiresAt": e.expiresAt.map { .string($0.rfc3339) }, "rev": .int(e.rev),
      ])
    case .board(let e):
      .compact([
        "id": .string(e.id.text), "organisationId": .string(e.organisationId.text), "soc": .string(e.soc),
        "public": .bool(e.isPublic), "deviceType": e.deviceType.map { .string($0) },
        "configSchemas": .object(e.configSchemas), "commandCatalogue": .object(e.commandCatalogue),
        "rev": .int(e.rev),
      ])
    case .device(let e):
      [
        "id": .string(e.id.text), "deviceId": .string(e.deviceId), "mcuId": .string(e.mcuId),
        "soc": .string(e.soc), "boardId": .string(e.boardId.text),
        "organisationId": .string(e.organisationId.text), "rev": .int(e.rev),
      ]
    }
  }

  /// Reads a record's value.
  /// - Throws: what is wrong with it; unknown fields are passed over, since a newer registry may send more.
  public init(_ kind: EntityKind, json: JSON) throws(JSONFaults) {
    var fields = JSONFields(json)
    let id = fields.required("id", .uuid)
    let rev = Int64(fields.required("rev", .int(0...Int.max)))
    switch kind {
    case .organisation:
      self = .organisation(
        OrganisationEntity(
          id: id, name: fields.required("name", .string(0...1000)),
          slug: fields.required("slug", .string(0...1000)),
          rev: rev))
    case .apiKey:
      self = .apiKey(
        APIKeyEntity(
          id: id, organisationId: fields.required("organisationId", .uuid),
          name: fields.required("name", .string(0...1000)), role: fields.required("role", .word(.viewer)),
          hash: fields.required("hash", .string(64...64)), expiresAt: fields.optional("expiresAt", .time),
          rev: rev))
    case .board:
      self = .board(
        BoardEntity(
          id: id, organisationId: fields.required("organisationId", .uuid),
          soc: fields.required("soc", .string(0...1000)), isPublic: fields.required("public", .bool),
          deviceType: fields.optional("deviceType", .string(0...1000)),
          configSchemas: fields.optional("configSchemas", .object) ?? JSONObject(),
          commandCatalogue: fields.optional("commandCatalogue", .object) ?? JSONObject(), rev: rev))
    case .device:
      self = .device(
        DeviceEntity(
          id: id, deviceId: fields.required("deviceId", .string(1...64)),
          mcuId: fields.required("mcuId", .string(1...64)), soc: fields.required("soc", .string(0...1000)),
          boardId: fields.required("boardId", .uuid),
          organisationId: fields.required("organisationId", .uuid),
          rev: rev))
    }
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }
}

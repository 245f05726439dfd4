import FoundationEssentials

extension Entity {
  /// Its kind.
  public var kind: EntityKind {
    switch self {
    case .organisation: .organisation
    case .apiKey: .apiKey
    case .board: .board
    case .device: .device
    case .sensorProfile: .sensorProfile
    case .group: .group
    }
  }

  /// Its record id.
  public var id: UUID {
    switch self {
    case .organisation(let entity): entity.id
    case .apiKey(let entity): entity.id
    case .board(let entity): entity.id
    case .device(let entity): entity.id
    case .sensorProfile(let entity): entity.id
    case .group(let entity): entity.id
    }
  }

  /// Grows with every change.
  public var rev: Int64 {
    switch self {
    case .organisation(let entity): entity.rev
    case .apiKey(let entity): entity.rev
    case .board(let entity): entity.rev
    case .device(let entity): entity.rev
    case .sensorProfile(let entity): entity.rev
    case .group(let entity): entity.rev
    }
  }

  /// Whose it is.
  public var organisationId: UUID {
    switch self {
    case .organisation(let entity): entity.id
    case .apiKey(let entity): entity.organisationId
    case .board(let entity): entity.organisationId
    case .device(let entity): entity.organisationId
    case .sensorProfile(let entity): entity.organisationId
    case .group(let entity): entity.organisationId
    }
  }

  /// What is told of its end.
  public var deletion: EntityDeletion {
    var deviceId: String?
    if case .device(let device) = self { deviceId = device.deviceId }
    return EntityDeletion(
      kind: kind, id: id, rev: rev + 1, organisationId: organisationId, deviceId: deviceId)
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
        "commandTimeouts": .object(e.commandTimeouts), "rev": .int(e.rev),
      ])
    case .device(let e):
      .compact([
        "id": .string(e.id.text), "deviceId": .string(e.deviceId), "mcuId": .string(e.mcuId),
        "soc": .string(e.soc), "boardId": .string(e.boardId.text),
        "organisationId": .string(e.organisationId.text), "networkId": e.networkId.map { .string($0.text) },
        "groupIds": .array(e.groupIds.map { .string($0.text) }),
        "components": .array(e.components.map(\.json)), "rev": .int(e.rev),
      ])
    case .sensorProfile(let e):
      [
        "id": .string(e.id.text), "organisationId": .string(e.organisationId.text), "name": .string(e.name),
        "configSchemas": .object(e.configSchemas), "rev": .int(e.rev),
      ]
    case .group(let e):
      [
        "id": .string(e.id.text), "organisationId": .string(e.organisationId.text), "name": .string(e.name),
        "rev": .int(e.rev),
      ]
    }
  }

  /// Reads a record's value.
  /// - Throws: what is wrong with it; unknown fields are passed over, since a newer registry may send more, and what an
  ///   older one did not send is empty.
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
          commandCatalogue: fields.optional("commandCatalogue", .object) ?? JSONObject(),
          commandTimeouts: fields.optional("commandTimeouts", .object) ?? JSONObject(), rev: rev))
    case .device:
      self = .device(
        DeviceEntity(
          id: id, deviceId: fields.required("deviceId", .string(1...64)),
          mcuId: fields.required("mcuId", .string(1...64)), soc: fields.required("soc", .string(0...1000)),
          boardId: fields.required("boardId", .uuid),
          organisationId: fields.required("organisationId", .uuid),
          networkId: fields.optional("networkId", .uuid),
          groupIds: fields.optional("groupIds", JSONShape.uuid.array(0...Int.max)) ?? [],
          components: (fields.optional("components", ComponentEntity.shape.array(0...Int.max)) ?? [])
            .compactMap { $0 },
          rev: rev))
    case .sensorProfile:
      self = .sensorProfile(
        SensorProfileEntity(
          id: id, organisationId: fields.required("organisationId", .uuid),
          name: fields.required("name", .string(0...1000)),
          configSchemas: fields.optional("configSchemas", .object) ?? JSONObject(), rev: rev))
    case .group:
      self = .group(
        GroupEntity(
          id: id, organisationId: fields.required("organisationId", .uuid),
          name: fields.required("name", .string(0...1000)), rev: rev))
    }
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }
}

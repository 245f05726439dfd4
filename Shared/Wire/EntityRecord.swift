import FoundationEssentials

/// What a record of the entities topic says of its entity: what it is now, or that it is no more.
///
/// A deletion is a record like any other, with a revision above all before it, and stays in the compacted topic: so a
/// service that was stopped for however long still reads it, and an older record that comes late changes nothing.
public enum EntityRecord: Sendable, Equatable {
  case present(Entity)
  case deleted(EntityDeletion)
}

/// The end of an entity.
public struct EntityDeletion: Sendable, Equatable {
  public let kind: EntityKind
  public let id: UUID
  /// One above the entity's last.
  public let rev: Int64
  /// Whose it was.
  public let organisationId: UUID?
  /// Of a device, for those who clean up after it.
  public let deviceId: String?

  public init(kind: EntityKind, id: UUID, rev: Int64, organisationId: UUID?, deviceId: String? = nil) {
    (self.kind, self.id, self.rev) = (kind, id, rev)
    (self.organisationId, self.deviceId) = (organisationId, deviceId)
  }

  /// The value on the topic.
  public var json: JSON {
    .compact([
      "id": .string(id.text), "organisationId": organisationId.map { .string($0.text) },
      "deviceId": deviceId.map { .string($0) }, "rev": .int(rev), "deleted": true,
    ])
  }

  /// The record for the entities topic.
  public func event(traceparent: String?) -> Event {
    Event(
      topic: .registryEntities, key: kind.key(id), type: "martlet.entity.\(kind.rawValue)", json: json,
      traceparent: traceparent)
  }
}

extension EntityRecord {
  public var kind: EntityKind {
    switch self {
    case .present(let entity): entity.kind
    case .deleted(let deletion): deletion.kind
    }
  }

  /// The record id of the entity.
  public var id: UUID {
    switch self {
    case .present(let entity): entity.id
    case .deleted(let deletion): deletion.id
    }
  }

  /// Grows with every change of the entity, its deletion included.
  public var rev: Int64 {
    switch self {
    case .present(let entity): entity.rev
    case .deleted(let deletion): deletion.rev
    }
  }

  /// Reads a record.
  /// - Parameter value: nil is the tombstone that registries before this one wrote; an id is never used again, so
  ///   nothing comes after it.
  /// - Throws: `JSONError`, or `JSONFaults`: what is wrong with the value.
  public init(_ kind: EntityKind, _ id: UUID, value: [UInt8]?) throws {
    guard let value else {
      self = .deleted(EntityDeletion(kind: kind, id: id, rev: .max, organisationId: nil))
      return
    }
    let json = try JSON(parsing: value)
    guard json["deleted"] == true else {
      self = .present(try Entity(kind, json: json))
      return
    }
    var fields = JSONFields(json)
    self = .deleted(
      EntityDeletion(
        kind: kind, id: fields.required("id", .uuid), rev: Int64(fields.required("rev", .int(0...Int.max))),
        organisationId: fields.optional("organisationId", .uuid),
        deviceId: fields.optional("deviceId", .string(1...64))))
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }
}

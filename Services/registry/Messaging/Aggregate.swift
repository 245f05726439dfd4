import FoundationEssentials
import RegistryDomain
import Runtime
import Wire

/// What happened to an object.
enum Verb: String, Sendable { case created, updated, deleted }

/// An object that others hear of: as an entity (what the other services must know of it) and as a public event.
protocol Aggregate: Sendable {
  static var kind: EntityKind { get }
  var id: UUID { get }
  var rev: Int64 { get }
  /// Whose it is.
  var organisationId: UUID { get }
  /// The Kafka key of its public events: the deviceId where there is one.
  var eventKey: String { get }
  /// As the API shows it.
  var json: JSON { get }
  var entity: Entity { get }
}

extension Aggregate {
  var eventKey: String { id.text }

  /// The records of a change, for the outbox: first the one that the other services wait for.
  func records(_ verb: Verb, _ context: RequestContext, at time: Date = .now) -> [Event] {
    let traceparent = context.trace.traceparent
    let record =
      verb == .deleted
      ? entity.deletion.event(traceparent: traceparent) : entity.event(traceparent: traceparent)
    var payload = json.object ?? JSONObject()
    payload["organisationId"] = .string(organisationId.text)
    // A deletion is one more change of the object.
    payload["rev"] = .int(verb == .deleted ? rev + 1 : rev)
    payload["at"] = .string(time.rfc3339)
    payload["by"] = .string(context.principal.name)
    return [
      record,
      Event(
        topic: .registryEvents, key: eventKey,
        type: "martlet.registry.\(Self.kind.rawValue).\(verb.rawValue)",
        json: .object(payload), traceparent: traceparent),
    ]
  }
}

extension Organisation: Aggregate {
  static var kind: EntityKind { .organisation }
  var organisationId: UUID { id }
  var entity: Entity { .organisation(OrganisationEntity(id: id, name: name, slug: slug, rev: rev)) }
}

extension APIKey: Aggregate {
  static var kind: EntityKind { .apiKey }
  /// A key never changes.
  var rev: Int64 { 1 }
  var entity: Entity {
    .apiKey(
      APIKeyEntity(
        id: id, organisationId: organisationId, name: name, role: role, hash: hash, expiresAt: expiresAt,
        rev: rev))
  }
}

extension Board: Aggregate {
  static var kind: EntityKind { .board }
  var entity: Entity {
    .board(
      BoardEntity(
        id: id, organisationId: organisationId, soc: profile.soc, isPublic: profile.isPublic,
        deviceType: profile.deviceType, configSchemas: profile.configSchemas ?? JSONObject(),
        commandCatalogue: profile.commandCatalogue ?? JSONObject(), rev: rev))
  }
}

extension Device: Aggregate {
  static var kind: EntityKind { .device }
  var eventKey: String { deviceId }
  var entity: Entity {
    .device(
      DeviceEntity(
        id: id, deviceId: deviceId, mcuId: mcuId, soc: soc, boardId: boardId, organisationId: organisationId,
        rev: rev))
  }
}

extension PresenceChange {
  /// The public event.
  var record: Event {
    Event(
      topic: .registryEvents, key: deviceId, type: "martlet.registry.device.presence",
      json: [
        "id": .string(id.text), "deviceId": .string(deviceId), "organisationId": .string(organisationId.text),
        "online": .bool(presence.online), "source": .string(presence.source.rawValue),
        "connectionEpoch": .int(connectionEpoch), "at": .string(presence.at.rfc3339), "rev": .int(rev),
      ], traceparent: nil)
  }
}

import FoundationEssentials
import RegistryDomain
import Runtime
import Wire

/// What happened to an object.
enum Verb: String, Sendable { case created, updated, deleted }

/// An object that others hear of: as an entity (what the other services must know of it) and as a public event.
protocol Aggregate: Sendable {
  /// In the types of its events: `martlet.registry.<kind>.created`.
  static var kind: String { get }
  var id: UUID { get }
  var rev: Int64 { get }
  /// Whose it is.
  var organisationId: UUID { get }
  /// The Kafka key of its public events: the deviceId where there is one.
  var eventKey: String { get }
  /// As the API shows it.
  var json: JSON { get }
  /// As public events show it: without secrets.
  var told: JSON { get }
  /// Nil if no other service needs to know of it.
  var entity: Entity? { get }
}

extension Aggregate {
  var eventKey: String { id.text }
  var told: JSON { json }

  /// The records of a change, for the outbox: first the one that the other services wait for.
  /// - Parameter before: what it was, for an update.
  func records(
    _ verb: Verb, _ context: RequestContext, from before: Self? = nil, at time: Date = .now
  ) -> [Event] {
    let traceparent = context.trace.traceparent
    let ended = entity.map { [$0.deletion.event(traceparent: traceparent)] } ?? []
    let record = verb == .deleted ? ended : entityRecord(context)
    var payload = told.object ?? JSONObject()
    // A deletion is one more change of the object.
    payload.note(context, organisation: organisationId, rev: verb == .deleted ? rev + 1 : rev, at: time)
    if let before { payload.add(before: before.told, after: told) }
    let event = Event(
      topic: .registryEvents, key: eventKey, type: "martlet.registry.\(Self.kind).\(verb.rawValue)",
      json: .object(payload), traceparent: traceparent)
    return record + [event]
  }

  /// What the other services hear of it as it is now: one record, or none.
  func entityRecord(_ context: RequestContext) -> [Event] {
    entity.map { [$0.event(traceparent: context.trace.traceparent)] } ?? []
  }
}

extension JSONObject {
  /// What every public event says besides its object: whose it is, which revision, when and by whom.
  mutating func note(
    _ context: RequestContext, organisation: UUID, rev: Int64? = nil, at time: Date
  ) {
    self["organisationId"] = .string(organisation.text)
    if let rev { self["rev"] = .int(rev) }
    self["at"] = .string(time.rfc3339)
    self["by"] = .string(context.principal.name)
  }

  /// The object before and after an update, unless the record would be too large for its topic: schemas may take 1 MiB.
  fileprivate mutating func add(before: JSON, after: JSON) {
    let size = before.bytes.count + 2 * after.bytes.count
    guard size <= KafkaTopic.maximumRecordBytes * 3 / 4 else { return }
    (self["before"], self["after"]) = (before, after)
  }
}

extension Organisation: Aggregate {
  static var kind: String { "organisation" }
  var organisationId: UUID { id }
  var entity: Entity? { .organisation(OrganisationEntity(id: id, name: name, slug: slug, rev: rev)) }
}

extension APIKey: Aggregate {
  static var kind: String { "apiKey" }
  /// A key never changes.
  var rev: Int64 { 1 }
  var entity: Entity? {
    .apiKey(
      APIKeyEntity(
        id: id, organisationId: organisationId, name: name, role: role, hash: hash, expiresAt: expiresAt,
        rev: rev))
  }
}

extension Board: Aggregate {
  static var kind: String { "board" }
  var entity: Entity? {
    .board(
      BoardEntity(
        id: id, organisationId: organisationId, soc: profile.soc, isPublic: profile.isPublic,
        deviceType: profile.deviceType, configSchemas: profile.configSchemas ?? JSONObject(),
        commandCatalogue: profile.commandCatalogue ?? JSONObject(),
        commandTimeouts: profile.commandTimeouts ?? JSONObject(), rev: rev))
  }
}

extension Network: Aggregate {
  static var kind: String { "network" }
  /// Whoever reads events need not hold the key of the network.
  var told: JSON {
    var object = json.object ?? JSONObject()
    object["key"] = nil
    return .object(object)
  }
  var entity: Entity? { nil }
}

extension SensorProfile: Aggregate {
  static var kind: String { "sensorProfile" }
  var entity: Entity? {
    .sensorProfile(
      SensorProfileEntity(
        id: id, organisationId: organisationId, name: name, configSchemas: configSchemas ?? JSONObject(),
        rev: rev))
  }
}

extension DeviceGroup: Aggregate {
  static var kind: String { "group" }
  var entity: Entity? {
    .group(GroupEntity(id: id, organisationId: organisationId, name: name, rev: rev))
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

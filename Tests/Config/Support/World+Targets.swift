import ConfigDomain
import Crypto
import FoundationEssentials
import HTTP
import Postgres
import TestSupport
import Wire

@testable import ConfigService

// Groups, components and sensor profiles of a world.
extension World {
  static let bindings = "/api/v1/desired-state-bindings"

  func group(_ organisation: UUID? = nil) async throws -> UUID {
    let id = UUID.v7()
    try await tell(.group(GroupEntity(id: id, organisationId: organisation ?? ours, name: "g", rev: 1)))
    return id
  }

  /// A device of ours.
  func newDevice(
    groups: [UUID] = [], components: [(key: String, profile: UUID)] = [], board: UUID? = nil
  ) async throws -> DeviceEntity {
    let device = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: "mcu-\(Identifier.randomDeviceId())",
      soc: "esp32",
      boardId: board ?? self.board, organisationId: ours, groupIds: groups,
      components: components.map { ComponentEntity(id: .v7(), key: $0.key, sensorProfileId: $0.profile) },
      rev: 1)
    try await tell(.device(device))
    return device
  }

  /// An artefact of a sensor profile, or anybody's, made past the API.
  func artefact(
    of profile: Profile, _ content: JSON, slot: String = "wifi", version: Int = 1,
    in organisation: UUID? = nil
  ) async throws -> JSON {
    let id = UUID.v7()
    let bytes = content.canonicalBytes
    let hash = SHA256.hash(data: bytes).hex
    try await fixture.runtime.database.query(
      """
      INSERT INTO artefact (id, organisation_id, profile_type, profile_id, slot, version, sha256, size, content_type,
        content, created_at, created_by)
      VALUES (\(id), \(organisation ?? ours), \(profile.type), \(profile.id), \(slot), \(version), \(hash),
        \(bytes.count), 'application/json', \(String(decoding: bytes, as: UTF8.self)), now(), 'test')
      """)
    return ["id": .string(id.text), "version": .int(Int64(version)), "sha256": .string(hash)]
  }

  @discardableResult
  func bind(
    _ artefact: JSON, _ type: TargetType, _ id: UUID, slot: String = "wifi", priority: Int = 0
  ) async throws -> Answer {
    try await ask(
      .put, Self.bindings, as: .operator,
      [
        "target": ["type": .string(type.rawValue), "id": .string(id.text)], "slot": .string(slot),
        "artefactId": artefact["id"] ?? .null, "priority": .int(Int64(priority)),
      ])
  }

  /// Binds, and has all resolved that follows from it.
  /// - Returns: the binding's id.
  @discardableResult
  func bound(
    _ artefact: JSON, _ type: TargetType, _ id: UUID, slot: String = "wifi", priority: Int = 0
  ) async throws -> String {
    let answer = try await bind(artefact, type, id, slot: slot, priority: priority)
    guard let binding = answer.json["id"]?.string, answer.status < 300 else {
      throw TestSupportError("not bound: \(answer.json.text)")
    }
    try await fixture.settle()
    return binding
  }

  func unbind(_ binding: String) async throws {
    let answer = try await ask(.delete, "\(Self.bindings)/\(binding)", as: .operator)
    guard answer.status == 204 else { throw TestSupportError("not unbound: \(answer.json.text)") }
    try await fixture.settle()
  }

  /// The artefacts of a device's document, by path.
  func slots(of device: DeviceEntity) async throws -> [String: JSON] {
    let state = try await ask(.get, "/api/v1/devices/\(device.deviceId)/desired-state", as: .viewer).json
    return (state["slots"]?.object?.members ?? []).reduce(into: [:]) { $0[$1.name] = $1.value["artefactId"] }
  }

  func convergence(_ binding: String) async throws -> JSON? {
    try await ask(.get, "\(Self.bindings)/\(binding)").json["convergence"]
  }

  /// The documents that a device was sent.
  func documents(of device: DeviceEntity) async throws -> [JSON] {
    try await fixture.outbox(device.deviceId, .deviceDownlink).map(\.json)
  }
}

extension DeviceEntity {
  /// The same device, changed.
  func changed(groups: [UUID]? = nil, components: [ComponentEntity]? = nil, board: UUID? = nil)
    -> DeviceEntity
  {
    DeviceEntity(
      id: id, deviceId: deviceId, mcuId: mcuId, soc: soc, boardId: board ?? boardId,
      organisationId: organisationId,
      networkId: networkId, groupIds: groups ?? groupIds, components: components ?? self.components,
      rev: rev + 1)
  }
}

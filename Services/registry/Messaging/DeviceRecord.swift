import FoundationEssentials
import RegistryDomain
import Runtime
import Wire

/// A device with what the other services must know of it beside itself.
struct DeviceRecord: Sendable {
  let device: Device
  /// How many more revisions the record has than the device.
  var ahead: Int64 = 0
  var groupIds: [UUID] = []
  var components: [ComponentEntity] = []
}

extension DeviceRecord: Aggregate {
  static var kind: String { "device" }
  var id: UUID { device.id }
  var rev: Int64 { device.rev }
  var organisationId: UUID { device.organisationId }
  var eventKey: String { device.deviceId }
  var json: JSON { device.json }
  var entity: Entity? {
    .device(
      DeviceEntity(
        id: id, deviceId: device.deviceId, mcuId: device.mcuId, soc: device.soc, boardId: device.boardId,
        organisationId: organisationId, networkId: device.networkId, groupIds: groupIds,
        components: components, rev: rev + ahead))
  }
}

/// A component of a device; the other services hear of it with the device.
struct ComponentOfDevice: Aggregate {
  static var kind: String { "component" }
  let component: Component
  /// As it is after the change.
  let record: DeviceRecord

  var id: UUID { component.id }
  var rev: Int64 { component.rev }
  var organisationId: UUID { record.organisationId }
  var eventKey: String { record.eventKey }
  var json: JSON { component.json(deviceId: record.device.deviceId) }
  var entity: Entity? { nil }
}

/// Devices that have come into a group, or left it.
struct MembershipChange: Sendable {
  /// A device, and which revision of its record says so.
  struct Member: Sendable {
    let id: UUID
    let deviceId: String
    let rev: Int64
  }

  let group: DeviceGroup
  let isJoin: Bool
  let members: [Member]

  /// So many devices one event names at most.
  private static let mostOfEvent = 1000

  /// The public events. They have no `rev` of the group's: changes of different devices do not wait for each other.
  func records(_ context: RequestContext, at time: Date = .now) -> [Event] {
    stride(from: 0, to: members.count, by: Self.mostOfEvent).map { start in
      let part = members[start..<min(start + Self.mostOfEvent, members.count)]
      var payload: JSONObject = ["id": .string(group.id.text), "name": .string(group.name)]
      payload["devices"] = .array(
        part.map {
          ["id": .string($0.id.text), "deviceId": .string($0.deviceId), "rev": .int($0.rev)]
        })
      payload.note(context, organisation: group.organisationId, at: time)
      return Event(
        topic: .registryEvents, key: group.eventKey,
        type: "martlet.registry.group.\(isJoin ? "membersAdded" : "membersRemoved")",
        json: .object(payload), traceparent: context.trace.traceparent)
    }
  }
}

import Foundation
import Observability
import Runtime
import Testing
import Wire

@testable import RegistryDomain
@testable import RegistryService

@Suite("What others hear of a change")
struct RecordTests {
  static let context = RequestContext(
    principal: .root, trace: TraceContext(), logger: Logger(label: "test", level: .error))
  static let at = Date(timeIntervalSince1970: 1_700_000_000)
  static let device = DeviceRecord(
    device: DocumentTests.device, ahead: 3, groupIds: [.v7()],
    components: [ComponentEntity(id: .v7(), key: "imu", sensorProfileId: .v7())])

  @Test(
    "an entity for the services, an event for the public",
    arguments: [(Verb.created, 4), (.updated, 4), (.deleted, 5)] as [(Verb, Int64)])
  func records(_ verb: Verb, _ rev: Int64) throws {
    let records = Self.device.records(verb, Self.context, at: Self.at)
    #expect(records.map(\.topic) == [.registryEntities, .registryEvents])
    #expect(records.map(\.key) == ["device/\(Self.device.id.text)", Self.device.eventKey])
    #expect(records[1].type == "martlet.registry.device.\(verb.rawValue)")
    #expect(records.allSatisfy { $0.traceparent == Self.context.trace.traceparent })
    let record = try EntityRecord(.device, Self.device.id, value: records[0].payload)
    if verb == .deleted {
      let deletion = EntityDeletion(
        kind: .device, id: Self.device.id, rev: rev + 3, organisationId: Self.device.organisationId,
        deviceId: Self.device.eventKey)
      #expect(record == .deleted(deletion))
    } else {
      #expect(try record == .present(#require(Self.device.entity)))
      #expect(record.rev == rev + 3, "groups and components have changed three times")
    }
    let event = try JSON(parsing: records[1].payload ?? [])
    #expect(event["rev"]?.int == rev)
    #expect(event["by"] == "root")
    #expect(event["at"] == "2023-11-14T22:13:20.000Z")
    for field in ["deviceId", "organisationId", "mcuId", "boardId"] {
      #expect(event[field] == Self.device.json[field], "\(field)")
    }
  }

  @Test("an update says what was before and what is after")
  func update() throws {
    var changed = Self.device.device
    (changed.name, changed.rev) = ("other", 5)
    let records = DeviceRecord(device: changed).records(.updated, Self.context, from: Self.device)
    let event = try JSON(parsing: records[1].payload ?? [])
    #expect(event["before"] == Self.device.json)
    #expect(event["after"] == changed.json)
    #expect(event["name"] == "other" && event["rev"] == 5)
  }

  @Test("an update that would not fit the topic goes without before and after")
  func largeUpdate() throws {
    func profile(_ rev: Int64) -> SensorProfile {
      SensorProfile(
        id: .v7(), organisationId: .v7(), createdAt: Self.at, updatedAt: Self.at, name: "n",
        configSchemas: ["s": ["description": .string(String(repeating: "x", count: 900_000))]], rev: rev)
    }
    let records = profile(2).records(.updated, Self.context, from: profile(1))
    #expect(records.allSatisfy { ($0.payload ?? []).count < KafkaTopic.maximumRecordBytes })
    #expect(try JSON(parsing: records[1].payload ?? [])["before"] == nil)
  }

  @Test("who comes into a group, and leaves it, is told in parts")
  func members() throws {
    let group = DeviceGroup(
      id: .v7(), organisationId: .v7(), createdAt: Self.at, updatedAt: Self.at, name: "g", filter: nil, rev: 1
    )
    let members = (0..<1001).map { MembershipChange.Member(id: .v7(), deviceId: "d\($0)", rev: Int64($0)) }
    let events = MembershipChange(group: group, isJoin: true, members: members).records(
      Self.context, at: Self.at)
    #expect(events.map(\.type) == Array(repeating: "martlet.registry.group.membersAdded", count: 2))
    #expect(events.allSatisfy { $0.key == group.id.text })
    let bodies = try events.map { try JSON(parsing: $0.payload ?? []) }
    #expect(bodies.map { $0["devices"]?.array?.count } == [1000, 1])
    #expect(bodies[1]["devices"]?.array?.first?["deviceId"] == "d1000")
    #expect(bodies[1]["devices"]?.array?.first?["rev"] == 1000)
    #expect(MembershipChange(group: group, isJoin: false, members: []).records(Self.context).isEmpty)
  }

  @Test("the key of a network is in no event")
  func network() throws {
    let network = Network(
      id: .v7(), organisationId: .v7(), createdAt: Self.at, updatedAt: Self.at, name: "n", description: "",
      key: "00112233aabbccdd", networkId: 7, isPublic: false, rev: 2)
    let records = network.records(.updated, Self.context, from: network)
    #expect(records.map(\.topic) == [.registryEvents])
    #expect(!String(decoding: records[0].payload ?? [], as: UTF8.self).contains(network.key))
  }

  @Test("a key's secret is in no public event")
  func apiKey() throws {
    let key = APIKey(
      id: .v7(), organisationId: .v7(), name: "n", role: .admin, hash: String(repeating: "a", count: 64),
      createdAt: Self.at, expiresAt: nil)
    let records = key.records(.created, Self.context)
    #expect(try JSON(parsing: records[0].payload ?? [])["hash"]?.string == key.hash)
    #expect(String(decoding: records[1].payload ?? [], as: UTF8.self).contains(key.hash) == false)
  }
}

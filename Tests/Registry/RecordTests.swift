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
  static let device = DocumentTests.device

  @Test(
    "an entity for the services, an event for the public",
    arguments: [(Verb.created, 4), (.updated, 4), (.deleted, 5)] as [(Verb, Int64)])
  func records(_ verb: Verb, _ rev: Int64) throws {
    let records = Self.device.records(verb, Self.context, at: Self.at)
    #expect(records.map(\.topic) == [.registryEntities, .registryEvents])
    #expect(records.map(\.key) == ["device/\(Self.device.id.text)", Self.device.deviceId])
    #expect(records[1].type == "martlet.registry.device.\(verb.rawValue)")
    #expect(records.allSatisfy { $0.traceparent == Self.context.trace.traceparent })
    let record = try EntityRecord(.device, Self.device.id, value: records[0].payload)
    if verb == .deleted {
      let deletion = EntityDeletion(
        kind: .device, id: Self.device.id, rev: rev, organisationId: Self.device.organisationId,
        deviceId: Self.device.deviceId)
      #expect(record == .deleted(deletion))
    } else {
      #expect(record == .present(Self.device.entity))
    }
    let event = try JSON(parsing: records[1].payload ?? [])
    #expect(event["rev"]?.int == rev)
    #expect(event["by"] == "root")
    #expect(event["at"] == "2023-11-14T22:13:20.000Z")
    for field in ["deviceId", "organisationId", "mcuId", "boardId"] {
      #expect(event[field] == Self.device.json[field], "\(field)")
    }
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

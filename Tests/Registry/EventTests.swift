import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

@Suite("What others read of groups and components")
struct EventTests {
  @Test("a device's record has its groups and components in one order of revisions; events tell of each step")
  func story() async throws {
    let world = try await World.shared()
    let kafka = try await World.kafka()
    let entities = try await RecordReader(kafka, .registryEntities)
    let events = try await RecordReader(kafka, .registryEvents)
    let device = try await GroupTests.device(world)
    let key = "device/\(device.id)"
    let group = try await GroupTests.make(world)
    let groupId = String(group.dropFirst("group/id/".count))
    let members: JSON = ["deviceIds": [.string(device.id)]]
    #expect(await world.send("POST", "\(group)/device", body: members).status == 200)
    let component: JSON = ["key": "imu0", "sensorProfileId": "{profile}"]
    let put = await world.send("PUT", "device/id/\(device.id)/component", body: component)
    #expect(put.status == 201)
    #expect(await world.send("PATCH", "device/id/\(device.id)", body: ["name": "Pump"]).status == 200)
    #expect(await world.send("DELETE", "device/id/\(device.id)").status == 204)

    var records: [JSON] = []
    for _ in 0..<5 { records.append(try #require(try await entities.next(key))) }
    #expect(records.map { $0["rev"]?.int } == [1, 2, 3, 4, 5])
    #expect(records[0]["groupIds"] == [] && records[0]["components"] == [])
    #expect(records[1]["groupIds"] == [.string(groupId)] && records[1]["components"] == [])
    let known: JSON = [
      "id": put.json["id"] ?? .null, "key": "imu0", "sensorProfileId": .string(world.names["profile"] ?? ""),
    ]
    for record in records[2...3] {
      #expect(record["groupIds"] == [.string(groupId)] && record["components"] == [known])
    }
    #expect(records[4]["deleted"] == true)

    // By key the order holds; between a device and a group nothing is said.
    var told: [String: [(type: String, json: JSON)]] = [:]
    for _ in 0..<8 {
      let event = try await events.next([device.deviceId, groupId])
      let json = try #require(event.json)
      told[json["id"]?.string == groupId ? "group" : "device", default: []].append((event.type, json))
    }
    #expect(
      told["device"]?.map(\.type) == [
        "martlet.registry.device.created", "martlet.registry.component.created",
        "martlet.registry.device.updated", "martlet.registry.device.deleted",
        "martlet.registry.component.deleted",
      ])
    let update = try #require(told["device"]?[2].json)
    #expect(update["before"]?["name"] == nil && update["after"]?["name"] == "Pump" && update["rev"] == 2)
    #expect(
      told["group"]?.map(\.type) == [
        "martlet.registry.group.created", "martlet.registry.group.membersAdded",
        "martlet.registry.group.membersRemoved",
      ])
    let member = told["group"]?[1].json["devices"]?.array?.first
    #expect(member?["deviceId"]?.string == device.deviceId && member?["rev"] == 2)
  }

  @Test("whoever writes at the same time, each record has a revision of its own, and the last one is what is")
  func revisions() async throws {
    let world = try await World.shared()
    let entities = try await RecordReader(try await World.kafka(), .registryEntities)
    let device = try await GroupTests.device(world)
    let path = "device/id/\(device.id)"
    let (group, other) = (try await GroupTests.make(world), try await GroupTests.make(world))
    let members: JSON = ["deviceIds": [.string(device.id)]]
    let failures = await withTaskGroup(of: [Int].self, returning: [Int].self) { tasks in
      tasks.addTask {
        var statuses: [Int] = []
        for number in 0..<8 {
          statuses.append(await world.send("PATCH", path, body: ["name": .string("n\(number)")]).status)
        }
        return statuses
      }
      tasks.addTask {
        var statuses: [Int] = []
        for number in 0..<8 {
          let body: JSON = ["key": .string("c\(number)"), "sensorProfileId": "{profile}"]
          statuses.append(await world.send("PUT", "\(path)/component", body: body).status)
        }
        return statuses
      }
      for group in [group, other] {
        tasks.addTask {
          var statuses: [Int] = []
          for round in 0..<5 {
            let method = round.isMultiple(of: 2) ? "POST" : "DELETE"
            statuses.append(await world.send(method, "\(group)/device", body: members).status)
          }
          return statuses
        }
      }
      return await tasks.reduce(into: []) { $0 += $1.filter { ![200, 201].contains($0) } }
    }
    #expect(failures.isEmpty, "\(failures)")
    var records: [JSON] = []
    // Made, 8 changes of its own, 8 of components, 10 of groups.
    for _ in 0..<27 { records.append(try #require(try await entities.next("device/\(device.id)"))) }
    #expect(records.compactMap { $0["rev"]?.int } == (1...27).map { Int64($0) })
    let last = try #require(records.last)
    let groupIds = [group, other].map { JSON.string(String($0.dropFirst("group/id/".count))) }
    #expect(last["groupIds"]?.array == groupIds)
    #expect(last["components"]?.array?.count == 8)
    #expect(await world.send("DELETE", path).status == 204)
  }
}

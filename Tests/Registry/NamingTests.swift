import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

@Suite("Names of devices")
struct NamingTests {
  @Test("ids that look like numbers are text, byte for byte")
  func numbers() async throws {
    let world = try await World.shared()
    let soc = "numbers-\(UUID.v7().text.suffix(12))"
    let board = try await DeviceTests.board(world, ["soc": .string(soc)])
    let ids = ["0000000000000042", "1234567890123456", "00000000000001e5"]
    let mcuIds = ["007", "7", "1e3", "1000", "0x10", "1.23457E15"]
    for (number, mcuId) in mcuIds.enumerated() {
      let body = JSON.compact([
        "boardId": .string(board), "mcuId": .string(mcuId),
        "deviceId": number < ids.count ? .string(ids[number]) : nil,
      ])
      let made = await world.send("POST", "device", body: body)
      #expect(made.status == 201 && made.json["mcuId"]?.string == mcuId)
      #expect(await world.send("GET", "device/soc/\(soc)/mcuId/\(mcuId)").json == made.json)
    }
    for (id, mcuId) in zip(ids, mcuIds) {
      let found = await world.send("GET", "device/deviceId/\(id)")
      #expect(found.json["deviceId"]?.string == id && found.json["mcuId"]?.string == mcuId)
      #expect(await world.send("GET", "device/id/\(id)").json == found.json)
    }
    #expect(await world.send("GET", "device/deviceId/42").status == 404)
    let again: JSON = ["boardId": .string(board), "mcuId": "1.23457E15"]
    #expect(await world.send("POST", "device", body: again).status == 409)
  }

  @Test("every path takes record id, deviceId and mcuId; an mcuId of two devices is 409 that names both")
  func anyName() async throws {
    let world = try await World.shared()
    let mcuId = "any-\(UUID.v7().text)"
    func make() async throws -> (id: String, deviceId: String) {
      let board = try await DeviceTests.board(world, ["soc": .string("any-\(UUID.v7().text)")])
      let body: JSON = ["boardId": .string(board), "mcuId": .string(mcuId)]
      let made = await world.send("POST", "device", body: body).json
      return (try #require(made["id"]?.string), try #require(made["deviceId"]?.string))
    }
    let one = try await make()
    try await StateStorageTests.apply(world, [StateStorageTests.record(one.deviceId, .reported([:]), at: 1)])
    for name in [one.id, one.deviceId, mcuId] {
      for path in ["device/id/\(name)", "device/deviceId/\(name)"] {
        #expect(await world.send("GET", path).json["id"]?.string == one.id, "\(path)")
        #expect(await world.send("GET", "\(path)/state").json["online"] == true, "\(path)")
        #expect(await world.send("GET", path, as: "stranger").status == 404)
      }
      let route = await world.send("GET", "device/deviceId/\(name)/lastRoute")
      #expect(route.json["interface"] == "mqtt", "\(name)")
    }
    let two = try await make()
    for path in ["", "/state", "/lastRoute"] {
      let several = await world.send("GET", "device/deviceId/\(mcuId)\(path)")
      let detail = several.json["detail"]?.string ?? ""
      #expect(several.status == 409 && detail.contains(one.deviceId) && detail.contains(two.deviceId))
    }
  }

  @Test("names are looked up exactly as written: no case is folded")
  func upperCase() async throws {
    let world = try await World.shared()
    let soc = "case-\(UUID.v7().text.suffix(12))"
    let board = try await DeviceTests.board(world, ["soc": .string(soc)])
    let body: JSON = [
      "boardId": .string(board), "mcuId": "AA:BB:CC:DD:EE:01", "deviceId": "00a1b2c3d4e5f607",
    ]
    let upper = await world.send("POST", "device", body: body)
    let lower = await world.send(
      "POST", "device", body: ["boardId": .string(board), "mcuId": "aa:bb:cc:dd:ee:01"])
    #expect(upper.status == 201 && lower.status == 201)
    #expect(await world.send("GET", "device/soc/\(soc)/mcuId/AA:BB:CC:DD:EE:01").json == upper.json)
    #expect(await world.send("GET", "device/soc/\(soc)/mcuId/aa:bb:cc:dd:ee:01").json == lower.json)
    #expect(await world.send("GET", "device/soc/\(soc)/mcuId/AA%3ABB%3ACC%3ADD%3AEE%3A01").json == upper.json)
    for path in [
      "device/deviceId/00A1B2C3D4E5F607", "device/id/00A1B2C3D4E5F607",
      "device/deviceId/00A1B2C3D4E5F607/state",
    ] {
      #expect(await world.send("GET", path).status == 404, "\(path)")
    }
    let other = await world.send(
      "POST", "device", body: ["boardId": .string(board), "mcuId": "x", "deviceId": "00A1B2C3D4E5F6AA"])
    #expect(other.status == 422 && other.pointers == ["/deviceId"])
  }

  @Test("what is escaped in a path is a character of its segment, and never another endpoint")
  func paths() async throws {
    let world = try await World.shared()
    let soc = "nrf5340/cpuapp-\(UUID.v7().text.suffix(12))"
    let board = try await DeviceTests.board(world, ["soc": .string(soc)])
    let escaped = soc.replacingOccurrences(of: "/", with: "%2F")
    let names = ["a:b", "..", ".", "a..b", String(repeating: "m", count: 64)]
    for name in names {
      let made = await world.send(
        "POST", "device", body: ["boardId": .string(board), "mcuId": .string(name)])
      #expect(made.status == 201)
      let written = name.replacingOccurrences(of: ":", with: "%3A").replacingOccurrences(of: ".", with: "%2e")
      #expect(await world.send("GET", "device/soc/\(escaped)/mcuId/\(name)").json == made.json)
      #expect(await world.send("GET", "device/soc/\(escaped)/mcuId/\(written)").json == made.json)
    }
    let long = String(repeating: "m", count: 65)
    let tooLong: JSON = ["boardId": .string(board), "mcuId": .string(long)]
    #expect(await world.send("POST", "device", body: tooLong).pointers == ["/mcuId"])
    for path in [
      "device/soc/\(soc)/mcuId/a:b", "device/soc/\(escaped)/mcuId/a%00b", "device/soc/\(escaped)/mcuId/%FF",
      "device/soc/\(escaped)/mcuId/%zz", "device/soc/\(escaped)/mcuId/\(long)", "device/id/%2E%2E%2Flivez",
      "device/deviceId/..%2F..%2Flivez", "device/id/a%2Fstate",
    ] {
      #expect([400, 404].contains(await world.send("GET", path).status), "\(path)")
    }
  }

  @Test("record id, then deviceId, then mcuId: the first that fits")
  func order() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let id = "00000000000abcde"
    let first = await world.send(
      "POST", "device", body: ["boardId": .string(board), "mcuId": "order", "deviceId": .string(id)])
    let second = await world.send("POST", "device", body: ["boardId": .string(board), "mcuId": .string(id)])
    let third = await world.send(
      "POST", "device", body: ["boardId": .string(board), "mcuId": first.json["id"] ?? .null])
    #expect(second.status == 201 && third.status == 201)
    #expect(await world.send("GET", "device/id/\(id)").json == first.json)
    #expect(await world.send("GET", "device/id/\(first.json["id"]?.string ?? "")").json == first.json)
  }
}

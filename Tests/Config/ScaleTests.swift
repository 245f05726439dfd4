import ConfigDomain
import FoundationEssentials
import HTTP
import Postgres
import Testing
import Wire

@testable import ConfigService

/// A whole board's devices. `MARTLET_TEST_DEVICES=100000` measures; what is held here is that all of them are done, each once,
/// in pages.
@Suite struct ScaleTests {
  @Test func aBoardWithManyDevices() async throws {
    let count = ProcessInfo.processInfo.environment["MARTLET_TEST_DEVICES"].flatMap { Int($0) } ?? 1500
    let world = try await World(on: .fresh())
    let database = world.fixture.runtime.database
    try await database.query(
      """
      INSERT INTO directory_device (id, device_id, mcu_id, soc, board_id, organisation_id, rev)
      SELECT gen_random_uuid(), lpad(to_hex(n), 16, '0'), 'm' || n, 'esp32', \(world.otherBoard), \(world.ours), 1
      FROM generate_series(1, \(count)) n
      """)
    let (v1, v2) = (
      try await world.artefact(["ssid": "one", "channels": [1, 6, 11]], board: world.otherBoard),
      try await world.artefact(["ssid": "two", "channels": [1, 6, 11]], board: world.otherBoard)
    )
    func time<T>(_ what: String, _ body: () async throws -> T) async throws -> T {
      let start = ContinuousClock.now
      let result = try await body()
      if count > 10_000 { print("measured:", what, ContinuousClock.now - start) }
      return result
    }
    let change: JSON = [
      "changes": [
        [
          "target": ["type": "DEVICE_PROFILE", "id": .string(world.otherBoard.text)], "slot": "wifi",
          "artefactId": v1["id"] ?? .null,
        ]
      ]
    ]
    let plan = try await time("plan") {
      try await world.ask(.post, World.bindings + "/plan", as: .operator, change).json
    }
    #expect(plan["total"]?.int == Int64(count))
    #expect(plan["devices"]?.array?.count == min(count, 1000))
    let binding = try await time("bind") {
      try await world.bind(v1, .deviceProfile, world.otherBoard).json["id"]?.string ?? ""
    }
    let service = world.fixture.service
    try await time("spread") { while try await service.spreadDue() {} }
    try await time("resolve") { while try await service.resolveDue(limit: DeviceResolver.page) > 0 {} }
    let numbers = try await time("convergence") { try await world.convergence(binding) }
    #expect(numbers?["total"]?.int == Int64(count))
    #expect(numbers?["pending"]?.int == Int64(count))
    try await world.bind(v2, .deviceProfile, world.otherBoard)
    try await time("again") { try await world.fixture.settle() }
    let revisions = try await database.query(
      "SELECT count(*) FROM device_configuration WHERE revision = 2 AND organisation_id = \(world.ours)")
    #expect(try revisions.first?.decode(Int.self) == count)
    #expect(try await world.convergence(binding)?["total"]?.int == Int64(count))
    let status = String(decoding: try Data(contentsOf: URL(filePath: "/proc/self/status")), as: UTF8.self)
    if count > 10_000 {
      print("measured:", status.split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? "")
    }
  }
}

import FoundationEssentials
import Testing
import Wire

@testable import CommandsService

@Suite("How a command's device is named")
struct NamingTests {
  @Test("an mcuId that a second device gets is 409 from then on, however often the first was found by it")
  func secondOwner() async throws {
    let world = try await World()
    let path = "api/v1/devices/\(world.device.mcuId)/commands"
    #expect(try await world.ask(.post, path, ["type": "REBOOT"]).status == 201)
    #expect(try await world.ask(.post, path, ["type": "REBOOT"]).status == 201)
    let second = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: world.device.mcuId, soc: "nrf52",
      boardId: world.board, organisationId: world.organisation, rev: 1)
    try await world.fixture.tell([.present(.device(second))])
    #expect(try await world.ask(.post, path, ["type": "REBOOT"]).status == 409)
  }
}

import ConfigDomain
import FoundationEssentials
import HTTP
import Postgres
import Testing
import Wire

@testable import ConfigService

@Suite struct PlanTests {
  private let path = "/api/v1/desired-state-bindings/plan"

  @Test func aPlanSaysWhatApplyDoes() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let member = try await world.newDevice(groups: [group])
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    let mesh = try await world.artefact(["m": 1], slot: "mesh")
    let board = try await world.bound(v1, .deviceProfile, world.board)
    let old = try await world.bound(mesh, .deviceProfile, world.board, slot: "mesh")
    let planned = try await plan(
      world, [change(.deviceGroup, group, "wifi", v2), change(.deviceProfile, world.board, "mesh", nil)])
    #expect(planned.status == 201)
    #expect(planned.json["total"] == 3)
    #expect(planned.json["faults"] == 0)
    let items = planned.json["devices"]?.array ?? []
    let wifi = items.filter { $0["slot"] == "wifi" }
    #expect(wifi.map { $0["deviceId"]?.string } == [member.deviceId])
    #expect(wifi.first?["before"] == ["artefactId": v1["id"] ?? .null, "version": 1])
    #expect(wifi.first?["after"] == ["artefactId": v2["id"] ?? .null, "version": 2])
    let gone = items.filter { $0["slot"] == "mesh" }
    #expect(Set(gone.compactMap { $0["deviceId"]?.string }) == [member.deviceId, world.device.deviceId])
    #expect(gone.allSatisfy { $0["before"]?["artefactId"] == mesh["id"] && $0["after"] == nil })
    try await world.fixture.settle()
    #expect(try await world.slots(of: member)["wifi"] == v1["id"], "a plan changes nothing")

    let applied = try await world.ask(
      .put, "\(path)/\(planned.json["planId"]?.string ?? "")/apply", as: .operator)
    #expect(applied.status == 200, "\(applied.json.text)")
    #expect(applied.json["removed"] == [.string(old)])
    #expect(applied.json["bindings"]?.array?.count == 1)
    try await world.fixture.settle()
    #expect(try await world.slots(of: member) == ["wifi": v2["id"] ?? .null])
    #expect(try await world.slots(of: world.device) == ["wifi": v1["id"] ?? .null])
    let again = try await world.ask(
      .put, "\(path)/\(planned.json["planId"]?.string ?? "")/apply", as: .operator)
    #expect(again.status == 409)
    #expect(try await world.ask(.get, "\(World.bindings)/\(old)/history").json["items"]?.array?.count == 2)
    _ = board
  }

  /// A device's stream has all that happens to it, whoever made it so.
  @Test func aPlansBindingOfADeviceIsToldUnderTheDevice() async throws {
    let world = try await World(on: .fresh())
    let artefact = try await world.artefact()
    let planned = try await plan(world, [change(.device, world.device.id, "wifi", artefact)])
    let id = planned.json["planId"]?.string ?? ""
    #expect(try await world.ask(.put, "\(path)/\(id)/apply", as: .operator).status == 200)
    let events = try await world.fixture.outbox(world.device.deviceId, .configEvents)
    let made = events.first { $0.type == "martlet.config.bindingCreated" }
    #expect(made?.json["deviceId"] == .string(world.device.deviceId))
  }

  @Test func whatHasChangedSinceIsRefused() async throws {
    let world = try await World(on: .fresh())
    let group = try await world.group()
    let device = try await world.newDevice(groups: [group])
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    func planned() async throws -> String {
      try await plan(world, [change(.deviceGroup, group, "wifi", v1)]).json["planId"]?.string ?? ""
    }
    func apply(_ plan: String) async throws -> Answer {
      try await world.ask(.put, "\(path)/\(plan)/apply", as: .operator)
    }
    // A member more.
    var id = try await planned()
    let joined = try await world.newDevice(groups: [group])
    var refused = try await apply(id)
    #expect(refused.status == 409)
    #expect(refused.json["detail"]?.string?.contains(joined.deviceId) == true)
    #expect(try await world.ask(.get, World.bindings).json["items"] == [], "all or nothing")
    // A binding that wins against it.
    id = try await planned()
    try await world.bound(v2, .device, device.id)
    refused = try await apply(id)
    #expect(refused.status == 409)
    #expect(refused.json["detail"]?.string?.contains(device.deviceId) == true)
    // What changes nothing of the outcome is no reason.
    id = try await planned()
    try await world.bound(try await world.artefact(slot: "mesh"), .device, device.id, slot: "mesh")
    #expect(try await apply(id).status == 200)
    // The artefact is gone; the plan is too old.
    let mesh = try await world.artefact(["m": 2], slot: "other")
    id = try await plan(world, [change(.deviceGroup, group, "other", mesh)]).json["planId"]?.string ?? ""
    #expect(
      try await world.ask(.delete, "/api/v1/config-artefacts/\(mesh["id"]?.string ?? "")").status == 204)
    #expect(try await apply(id).status == 409)
    id = try await planned()
    try await world.fixture.runtime.database.query(
      "UPDATE binding_plan SET expires_at = now() - interval '1 s'")
    #expect(try await apply(id).json["detail"]?.string?.contains("expired") == true)
  }

  /// The schema has changed since the artefact was made: those that would get it are named, first.
  @Test func whoWouldFailTheirSchema() async throws {
    let world = try await World(on: .fresh())
    let board = try await world.board(["wifi": ["type": "object", "required": ["ssid"]]])
    let device = try await world.newDevice(board: board)
    let artefact = try await world.artefact(["ssid": "x"], board: board)
    let other = try await world.artefact(["v": 1])
    try await world.change(board, schemas: ["wifi": ["type": "object", "required": ["ssid", "channel"]]])
    let answer = try await plan(
      world,
      [change(.deviceProfile, world.board, "wifi", other), change(.deviceProfile, board, "wifi", artefact)])
    #expect((answer.json["total"], answer.json["faults"]) == (2, 1))
    let first = answer.json["devices"]?.array?.first
    #expect(first?["deviceId"]?.string == device.deviceId)
    #expect(first?["fault"]?.string?.contains("channel") == true)
    // Who would fail is a part of the outcome.
    try await world.change(board, schemas: ["wifi": ["type": "object"]], rev: 3)
    let id = answer.json["planId"]?.string ?? ""
    let refused = try await world.ask(.put, "\(path)/\(id)/apply", as: .operator)
    #expect(refused.status == 409)
    #expect(refused.json["detail"]?.string?.contains(device.deviceId) == true)
  }

  /// A document that would be too large is a fault, and what is bound all the same is shown as not delivered, until it fits.
  @Test func aDocumentThatIsTooLarge() async throws {
    let world = try await World(on: .fresh())
    let device = try await world.newDevice()
    let large = String(repeating: "y", count: 65_000)
    var bindings: [String] = []
    for number in 0..<16 {
      let artefact = try await world.artefact(["x": .string(large)], slot: "b\(number)")
      bindings.append(try await world.bound(artefact, .deviceProfile, world.board, slot: "b\(number)"))
    }
    let sent = try await world.documents(of: device).count
    let more = try await world.artefact(["x": .string(large)], slot: "more")
    let planned = try await plan(world, [change(.deviceProfile, world.board, "more", more)])
    #expect(planned.json["faults"] == planned.json["total"])
    #expect(planned.json["devices"]?.array?.first?["fault"]?.string?.contains("at most 1048576 go") == true)
    let single = try await world.bind(more, .device, device.id, slot: "more")
    #expect(single.status == 422)
    let binding = try await world.bound(more, .deviceProfile, world.board, slot: "more")
    try await world.fixture.uplink(device.deviceId, [.published(revision: 16)])
    let path = "/api/v1/devices/\(device.deviceId)/desired-state"
    var state = try await world.ask(.get, path).json
    #expect(state["fault"]?.string?.contains("larger than 1048576 bytes") == true)
    #expect(state["slots"]?["more"]?["reason"] == "notDelivered")
    #expect(state["slots"]?["b3"]?["reason"] != "notDelivered")
    #expect(try await world.convergence(binding)?["total"]?.int ?? 0 > 0)
    #expect(try await world.documents(of: device).count == sent)
    // Nobody tries again for nothing, and nothing is held up by it.
    try await world.fixture.uplink(device.deviceId, [.presence(online: true)])
    #expect(try await world.fixture.service.sendDue(limit: 100) == 0)
    try await world.unbind(bindings[0])
    state = try await world.ask(.get, path).json
    #expect(state["fault"] == nil)
    #expect(try await world.documents(of: device).count == sent + 1)
  }

  @Test func whatCannotBePlanned() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let fine = change(.device, world.device.id, "wifi", artefact)
    let cases: [(JSON, [String])] = [
      ([:], ["/changes"]),
      (["changes": []], ["/changes"]),
      (["changes": [["target": ["type": "DEVICE", "id": "x"], "slot": "wifi"]]], ["/changes/0/artefactId"]),
      (["changes": [change(.device, UUID(), "wifi", artefact)]], ["/changes/0/target/id"]),
      (["changes": [change(.deviceGroup, UUID(), "wifi", nil)]], ["/changes/0/target/id"]),
      (["changes": [change(.device, world.theirDevice.id, "wifi", nil)]], ["/changes/0/target/id"]),
      (["changes": [fine, fine]], ["/changes/1"]),
      (["changes": [change(.device, world.device.id, "mesh", artefact)]], ["/changes/0/slot"]),
      (
        ["changes": [change(.device, world.device.id, "wifi", ["id": .string(UUID().text)])]],
        ["/changes/0/artefactId"]
      ),
      (["changes": [fine], "more": 1], ["/more"]),
    ]
    for (body, pointers) in cases {
      let answer = try await world.ask(.post, path, as: .operator, body)
      #expect(answer.status == 422, "\(body.text)")
      #expect(answer.pointers == pointers, "\(body.text) \(answer.json.text)")
    }
    let made = try await plan(world, [fine])
    let apply = "\(path)/\(made.json["planId"]?.string ?? "")/apply"
    #expect(try await world.ask(.post, path, as: .viewer, ["changes": [fine]]).status == 403)
    #expect(try await world.ask(.put, apply, as: .viewer).status == 403)
    #expect(try await world.ask(.put, apply, key: world.theirKey).status == 404)
    #expect(try await world.ask(.put, apply, key: nil).status == 401)
    #expect(try await world.ask(.put, "\(path)/\(UUID().text)/apply", as: .operator).status == 404)
    #expect(try await world.ask(.put, "\(path)/x/apply", as: .operator).status == 404)
    let key: HTTPFields = ["Idempotency-Key": UUID().text]
    let first = try await world.ask(.post, path, as: .operator, ["changes": [fine]], key)
    let second = try await world.ask(.post, path, as: .operator, ["changes": [fine]], key)
    #expect(first.json == second.json)
  }

  private func plan(_ world: World, _ changes: [JSON]) async throws -> Answer {
    try await world.ask(.post, path, as: .operator, ["changes": .array(changes)])
  }

  private func change(_ type: TargetType, _ id: UUID, _ slot: String, _ artefact: JSON?) -> JSON {
    [
      "target": ["type": .string(type.rawValue), "id": .string(id.text)], "slot": .string(slot),
      "artefactId": artefact?["id"] ?? .null,
    ]
  }
}

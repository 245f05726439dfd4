import ConfigDomain
import FoundationEssentials
import HTTP
import Testing
import Wire

@testable import ConfigService

@Suite struct BindingTests {
  private let path = "/api/v1/desired-state-bindings"

  @Test func aBindingIsMadeChangedAndRemoved() async throws {
    let world = try await World()
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    let made = try await world.bind(v1)
    #expect(made.status == 201)
    #expect(made.json["target"] == ["type": "DEVICE", "id": .string(world.device.id.text)])
    #expect(made.json["version"] == 1)
    #expect(made.json["priority"] == 0)
    #expect(made.json["convergence"] == convergence(pending: 1))
    #expect(made.rev == 1)
    let same = try await world.bind(v1)
    #expect((same.status, same.rev) == (200, 1))
    let changed = try await world.bind(v2)
    #expect((changed.status, changed.rev) == (200, 2))
    #expect(changed.json["id"] == made.json["id"])
    #expect(changed.json["version"] == 2)
    #expect(changed.json["createdAt"] == made.json["createdAt"])
    let location = "\(path)/\(made.json["id"]?.string ?? "")"
    #expect(try await world.ask(.get, location, as: .viewer).json == changed.json)
    #expect(try await world.ask(.delete, location, as: .operator).status == 204)
    #expect(try await world.ask(.delete, location, as: .operator).status == 404)

    let documents = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink)
    #expect(documents.map { $0.json["revision"]?.int } == [1, 2, 3])
    #expect(documents.map { $0.json["slots"]?["wifi"]?["content"] } == [["v": 1], ["v": 2], nil])
    #expect(documents[0].json["slots"]?["wifi"]?["sha256"] == v1["sha256"])
    #expect(documents.last?.json["slots"] == [:])
    let events = try await world.fixture.outbox(world.device.deviceId, .configEvents)
    #expect(
      events.map(\.type) == [
        "martlet.config.bindingCreated", "martlet.config.documentChanged", "martlet.config.bindingChanged",
        "martlet.config.documentChanged", "martlet.config.bindingRemoved", "martlet.config.documentChanged",
      ])
    #expect(events.map { $0.json["rev"]?.int } == [1, 1, 2, 2, 3, 3])
  }

  @Test func ifMatchGuardsAgainstALostUpdate() async throws {
    let world = try await World()
    let (v1, v2) = (try await world.artefact(["v": 1]), try await world.artefact(["v": 2]))
    func put(_ artefact: JSON, _ tag: String) async throws -> Int {
      try await world.ask(.put, path, as: .operator, world.binding(artefact), ["If-Match": tag]).status
    }
    #expect(try await put(v1, "*") == 412, "there is none yet")
    let made = try await world.bind(v1)
    #expect(try await put(v2, made.tag(7)) == 412)
    #expect(try await put(v2, "\"7\", \(made.tag(1))") == 200)
    #expect(try await put(v1, made.tag(1)) == 412)
    let location = "\(path)/\(made.json["id"]?.string ?? "")"
    #expect(try await world.ask(.delete, location, nil, ["If-Match": made.tag(1)]).status == 412)
    #expect(try await world.ask(.delete, location, nil, ["If-Match": made.tag(2)]).status == 204)
  }

  @Test func theDeviceIsNamedByAnyOfItsIds() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    for reference in [world.device.id.text, world.device.deviceId, world.device.mcuId] {
      let answer = try await world.ask(.put, path, world.binding(artefact, to: reference))
      #expect(answer.json["target"]?["id"]?.string == world.device.id.text)
      let list = try await world.ask(.get, "\(path)?targetId=\(reference)").json["items"]?.array
      #expect(list?.count == 1)
      let state = try await world.ask(.get, "/api/v1/devices/\(reference)/desired-state").json
      #expect(state["deviceId"]?.string == world.device.deviceId)
    }
    let twin = DeviceEntity(
      id: .v7(), deviceId: Identifier.randomDeviceId(), mcuId: world.device.mcuId, soc: "nrf52",
      boardId: world.board, organisationId: world.ours, rev: 1)
    try await world.add(twin)
    let answer = try await world.ask(.put, path, world.binding(artefact, to: twin.mcuId))
    #expect(answer.status == 409)
    let detail = answer.json["detail"]?.string ?? ""
    #expect(detail.contains(twin.deviceId) && detail.contains(world.device.deviceId))
  }

  @Test func anArtefactOfAnotherBoardFitsNothing() async throws {
    let world = try await World()
    let answer = try await world.bind(try await world.artefact(board: world.otherBoard))
    #expect(answer.status == 201)
    #expect(answer.json["convergence"]?["total"] == 0)
    #expect(try await world.state() == nil)
    #expect(try await world.fixture.outbox(world.device.deviceId, .deviceDownlink).isEmpty)
  }

  @Test func anArtefactCannotGoWhileItIsBound() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let binding = try await world.bind(artefact).json["id"]?.string ?? "?"
    let location = "/api/v1/config-artefacts/\(artefact["id"]?.string ?? "")"
    let refused = try await world.ask(.delete, location)
    #expect(refused.status == 409)
    #expect(refused.json["detail"]?.string?.contains(binding) == true)
    _ = try await world.ask(.delete, "\(path)/\(binding)")
    #expect(try await world.ask(.delete, location).status == 204)
  }

  @Test func whatDoesNotFitIsRefusedWithItsPointer() async throws {
    let world = try await World()
    let id = try await world.artefact()["id"] ?? .null
    let device: JSON = ["type": "DEVICE", "id": .string(world.device.deviceId)]
    let cases: [(JSON, [String])] = [
      ([:], ["/target", "/slot", "/artefactId"]),
      (["target": ["type": "BOARD", "id": "x"], "slot": "wifi", "artefactId": id], ["/target/type"]),
      (["target": ["type": "DEVICE"], "slot": "wifi", "artefactId": id], ["/target/id"]),
      (["target": device, "slot": "mesh", "artefactId": id], ["/slot"]),
      (["target": device, "slot": "wifi", "artefactId": .string(UUID().text)], ["/artefactId"]),
      (["target": device, "slot": "wifi", "artefactId": "x"], ["/artefactId"]),
      (["target": device, "slot": "wifi", "artefactId": id, "priority": "high"], ["/priority"]),
      (["target": device, "slot": "wifi", "artefactId": id, "rollout": 1], ["/rollout"]),
    ]
    for (body, pointers) in cases {
      let answer = try await world.ask(.put, path, as: .operator, body)
      #expect(answer.status == 422, "\(body.text)")
      #expect(answer.pointers == pointers, "\(body.text)")
    }
    #expect(try await world.ask(.put, path, world.binding(["id": id], to: "unknown")).status == 404)
    #expect(try await world.ask(.get, "\(path)?targetType=BOARD").status == 400)
    #expect(try await world.ask(.get, "\(path)?artefactId=x").status == 400)
    #expect(try await world.ask(.get, "\(path)?targetId=unknown").status == 404)
  }

  @Test func onlyWhoMayAndOnlyTheirOwn() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    let body = world.binding(artefact)
    #expect(try await world.ask(.put, path, as: .viewer, body).status == 403)
    #expect(try await world.ask(.put, path, key: nil, body.bytes).status == 401)
    let location = "\(path)/\(try await world.bind(artefact).json["id"]?.string ?? "")"
    #expect(try await world.ask(.delete, location, as: .viewer).status == 403)
    #expect(try await world.ask(.get, location, key: world.theirKey).status == 404)
    #expect(try await world.ask(.delete, location, key: world.theirKey).status == 404)
    #expect(try await world.ask(.put, path, key: world.theirKey, body.bytes).status == 404, "our device")
    let theirs = world.binding(artefact, to: world.theirDevice.deviceId)
    #expect(try await world.ask(.put, path, theirs).status == 404, "their device")
    #expect(try await world.ask(.put, path, key: world.theirKey, theirs.bytes).pointers == ["/artefactId"])
    #expect(try await world.ask(.get, path, key: world.theirKey).json["items"] == [])
    #expect(try await world.ask(.get, location + "/history", key: world.theirKey).status == 404)
    #expect(try await world.ask(.get, location + "/targets", key: world.theirKey).status == 404)
    #expect(try await world.ask(.get, location + "/history", key: nil).status == 401)
    #expect(try await world.ask(.post, path, body).status == 405)
  }

  @Test func listsAreNarrowed() async throws {
    let world = try await World()
    let (wifi, mesh) = (try await world.artefact(), try await world.artefact(slot: "mesh"))
    _ = try await world.bind(wifi)
    _ = try await world.bind(mesh, slot: "mesh")
    func slots(_ filter: String) async throws -> [String?]? {
      try await world.ask(.get, "\(path)?\(filter)").json["items"]?.array?.map { $0["slot"]?.string }
    }
    #expect(try await slots("") == ["wifi", "mesh"])
    #expect(try await slots("slot=mesh") == ["mesh"])
    #expect(try await slots("artefactId=\(wifi["id"]?.string ?? "")") == ["wifi"])
    #expect(try await slots("targetType=DEVICE&targetId=\(world.device.id.text)") == ["wifi", "mesh"])
    #expect(try await slots("targetType=DEVICE_GROUP") == [])
    #expect(try await slots("targetId=\(UUID().text)") == [])
    let first = try await world.ask(.get, "\(path)?limit=1").json
    #expect(try await slots("cursor=\(first["nextCursor"]?.string ?? "")") == ["mesh"])
  }

  /// Changes of one device at once: each gets its revision, and the last document has them all.
  @Test func concurrentBindingsOfOneDeviceLoseNothing() async throws {
    let world = try await World()
    let slots = (0..<12).map { "slot-\($0)" }
    var artefacts: [String: JSON] = [:]
    for slot in slots { artefacts[slot] = try await world.artefact(slot: slot) }
    try await withThrowingTaskGroup(of: Int.self) { [artefacts] group in
      for slot in slots {
        group.addTask { try await world.bind(artefacts[slot] ?? .null, slot: slot).status }
      }
      for try await status in group { #expect(status == 201) }
    }
    let documents = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink).map(\.json)
    #expect(documents.map { $0["revision"]?.int } == (1...12).map { Int64($0) })
    #expect(documents.map { $0["slots"]?.object?.members.count } == Array(1...12))
  }

  /// The first of a group, made by many at once: one makes it, the others find it.
  @Test func concurrentFirstBindingsOfAGroupMakeOne() async throws {
    let world = try await World()
    let artefact = try await world.artefact()
    for _ in 0..<5 {
      let group = try await world.group()
      let statuses = try await withThrowingTaskGroup(of: Int.self) { tasks in
        for number in 0..<6 {
          tasks.addTask { try await world.bind(artefact, .deviceGroup, group, priority: number % 2).status }
        }
        return try await tasks.reduce(into: []) { $0.append($1) }
      }
      #expect(statuses.sorted() == [200, 200, 200, 200, 200, 201])
    }
  }

  private func convergence(pending: Int64) -> JSON {
    [
      "total": 1, "pending": .int(pending), "inProgress": 0, "accepted": .int(1 - pending), "rejected": 0,
      "failed": 0,
    ]
  }

  @Test("If-None-Match: * makes a binding and never changes one")
  func onlyCreate() async throws {
    let world = try await World()
    let binding = world.binding(try await world.artefact())
    let path = "/api/v1/desired-state-bindings"
    let first = try await world.ask(.put, path, as: .operator, binding, ["If-None-Match": "*"])
    #expect(first.status == 201)
    #expect(try await world.ask(.put, path, as: .operator, binding, ["If-None-Match": "*"]).status == 412)
    #expect(try await world.ask(.put, path, as: .operator, binding, ["If-Match": "*"]).status == 200)
    let other = world.binding(try await world.artefact(slot: "other"), slot: "other")
    #expect(try await world.ask(.put, path, as: .operator, other, ["If-Match": "*"]).status == 412)
  }
}

import FoundationEssentials
import HTTP
import TestSupport
import Testing
import Wire

@testable import ConfigService

/// What the profile's schema for a slot lets through (SPEC, section 3.1).
@Suite struct ArtefactSchemaTests {
  private let path = "/api/v1/config-artefacts"
  private let wifi: JSON = [
    "type": "object", "required": ["ssid"], "additionalProperties": false,
    "properties": [
      "ssid": ["type": "string", "maxLength": 32], "channels": ["type": "array", "items": ["minimum": 1]],
      "a/b": ["type": "integer"],
    ],
  ]

  @Test("each fault has the pointer that it has in the body")
  func faults() async throws {
    let world = try await World()
    let board = try await world.board(["wifi": wifi, "never": false])
    let cases: [(JSON, [String])] = [
      ([:], ["/content/ssid"]), (1, ["/content"]),
      (
        ["ssid": 5, "channels": [1, 0, 3, -1]],
        ["/content/channels/1", "/content/channels/3", "/content/ssid"]
      ),
      (["ssid": "x", "colour": "red"], ["/content/colour"]), (["ssid": "x", "a/b": "1"], ["/content/a~1b"]),
    ]
    for (content, pointers) in cases {
      let answer = try await world.ask(.post, path, world.draft(content, board: board))
      #expect(answer.status == 422, "\(content.text)")
      #expect(answer.pointers.sorted() == pointers, "\(content.text)")
    }
    #expect(try await world.ask(.post, path, world.draft(1, slot: "never", board: board)).status == 422)
    #expect(try await world.artefact(["ssid": "x"], board: board)["version"] == 1, "refused ones took none")
    #expect(try await world.artefact("anything", slot: "free", board: board)["version"] == 1)
  }

  @Test("a number is judged as it is kept")
  func canonical() async throws {
    let world = try await World()
    let board = try await world.board(["n": ["exclusiveMinimum": .decimal("0.1")]])
    // As a double it is 0.1 to the last bit.
    let content = try JSON(parsing: Array("0.1000000000000000000001".utf8))
    let answer = try await world.ask(.post, path, world.draft(content, slot: "n", board: board))
    #expect(answer.pointers == ["/content"])
  }

  @Test("a newer schema counts at once, and what was made before stays")
  func changedSchemas() async throws {
    let world = try await World()
    let board = try await world.board(["wifi": true])
    let made = try await world.artefact(1, board: board)
    try await world.change(board, schemas: ["wifi": wifi])
    try await eventually("the schema counts") {
      try await world.ask(.post, path, world.draft(1, board: board)).status == 422
    }
    let location = "\(path)/\(made["id"]?.string ?? "")"
    #expect(try await world.ask(.get, location).json["content"] == 1)
  }

  @Test("a schema that cannot be read lets nothing through, and says so")
  func unusable() async throws {
    let world = try await World()
    let board = try await world.board([
      "wifi": ["type": "strnig"], "out": ["$ref": "http://127.0.0.1:1/s.json"],
    ])
    for slot in ["wifi", "out"] {
      let answer = try await world.ask(.post, path, world.draft(1, slot: slot, board: board))
      #expect(answer.status == 422)
      #expect(answer.pointers == ["/content"])
    }
  }

  @Test("work is bounded, whatever the schema says")
  func bounded() async throws {
    let world = try await World()
    var fan: JSONObject = ["l0": ["type": "string"]]
    for level in 1...20 {
      let below: JSON = ["$ref": .string("#/$defs/l\(level - 1)")]
      fan["l\(level)"] = ["anyOf": [["allOf": [below, false]], below]]
    }
    let board = try await world.board(["fan": ["$defs": .object(fan), "$ref": "#/$defs/l20"]])
    let answer = try await world.ask(.post, path, world.draft(5, slot: "fan", board: board))
    #expect(answer.status == 422)
  }

  @Test("sensor profiles have schemas too, and are their organisation's own")
  func sensorProfiles() async throws {
    let world = try await World()
    let profile = try await world.sensorProfile(["wifi": wifi])
    let theirs = try await world.sensorProfile(of: world.theirs)
    func draft(_ id: UUID, _ content: JSON) -> JSON {
      ["slot": "wifi", "profile": ["type": "SENSOR_PROFILE", "id": .string(id.text)], "content": content]
    }
    let made = try await world.ask(.post, path, draft(profile, ["ssid": "x"]))
    #expect(made.status == 201)
    #expect(made.json["profile"]?["type"] == "SENSOR_PROFILE")
    #expect(try await world.ask(.post, path, draft(profile, [:])).pointers == ["/content/ssid"])
    #expect(try await world.ask(.post, path, draft(theirs, 1)).pointers == ["/profile/id"])
    #expect(try await world.ask(.post, path, draft(world.board, 1)).pointers == ["/profile/id"])
    let listed = try await world.ask(.get, "\(path)?profileType=SENSOR_PROFILE").json["items"]?.array
    #expect(listed?.count == 1)
  }

  @Test("what happened to an artefact is told, keyed by its id")
  func events() async throws {
    let world = try await World()
    let made = try await world.artefact()
    let id = try #require(made["id"]?.string)
    #expect(try await world.ask(.delete, "\(path)/\(id)").status == 204)
    #expect(try await world.ask(.delete, "\(path)/\(id)").status == 404)
    let told = try await world.fixture.outbox(id, .configEvents)
    #expect(told.map(\.type) == ["martlet.config.artefactCreated", "martlet.config.artefactDeleted"])
    #expect(told.map { $0.json["rev"] } == [1, 2])
    #expect(told.allSatisfy { $0.json["sha256"] == made["sha256"] && $0.json["by"] == made["createdBy"] })
  }

  @Test("an artefact that is bound stays, and its bindings are named")
  func boundStays() async throws {
    let world = try await World()
    let made = try await world.artefact()
    let binding = try await world.bind(made).json["id"]?.string ?? ""
    let id = made["id"]?.string ?? ""
    let refused = try await world.ask(.delete, "\(path)/\(id)")
    #expect(refused.status == 409)
    #expect(refused.json["detail"]?.string?.contains(binding) == true)
    #expect(try await world.fixture.outbox(id, .configEvents).count == 1, "nothing was told of it")
  }
}

import CommandsDomain
import Foundation
import TestSupport
import Testing
import Wire

@testable import CommandsService

@Suite("Params of commands")
struct ParamsTests {
  private static let catalogue: JSONObject = [
    "dim": [
      "paramsSchema": [
        "type": "object", "required": ["level"], "additionalProperties": false,
        "properties": ["level": ["type": "integer", "maximum": 100], "a/b": ["type": "string"]],
      ]
    ], "never": ["paramsSchema": false], "any": ["paramsSchema": .null], "broken": ["paramsSchema": 7],
    "UPDATE_FIRMWARE": ["paramsSchema": ["required": ["url"]]],
  ]

  @Test(
    "must fit the catalogue's schema, on both surfaces; each fault has its pointer",
    arguments: [
      (#"{"command":"dim"}"#, ["/params/level"]), (#"{"command":"dim","params":{"level":100}}"#, []),
      (#"{"command":"dim","params":{"level":101,"a/b":1}}"#, ["/params/a~1b", "/params/level"]),
      (#"{"command":"dim","params":{"level":1,"more":1}}"#, ["/params/more"]),
      (#"{"command":"never"}"#, ["/params"]), (#"{"command":"any","params":{"x":[null]}}"#, []),
      (#"{"command":"broken"}"#, ["/params"]), (#"{"command":"REBOOT","params":{"n":9007199254740993}}"#, []),
      (#"{"command":"any","params":{"x":[0,1e-20000]}}"#, []),
      (#"{"command":"REBOOT","params":{"delaySeconds":-1}}"#, ["/params/delaySeconds"]),
      (#"{"command":"UPDATE_FIRMWARE","params":{"size":0}}"#, ["/params/url"]),
      (
        #"{"command":"UPDATE_CONFIG","params":{"sha256":"x","slot":""}}"#, ["/params/sha256", "/params/slot"]
      ),
      (#"{"command":"UPDATE_CONFIG","params":{"slot":"wifi","version":3}}"#, []),
      (#"{"command":"BIND_CONFIG_ARTEFACT"}"#, ["/params/artefactId"]),
      (
        #"{"command":"BIND_CONFIG_ARTEFACT","params":{"artefactId":"x","slot":"/","priority":1.5,"more":1}}"#,
        ["/params/artefactId", "/params/more", "/params/priority", "/params/slot"]
      ),
      (
        #"{"command":"BIND_CONFIG_ARTEFACT","params":{"artefactId":"0190b7c3-0000-7000-8000-000000000001"}}"#,
        []
      ),
      (
        #"{"command":"UNBIND_CONFIG_ARTEFACT","params":{"component":""}}"#,
        ["/params/component", "/params/slot"]
      ),
      (#"{"command":"UNBIND_CONFIG_ARTEFACT","params":{"slot":"wifi","component":"imu0"}}"#, []),
    ])
  func fit(_ body: String, _ pointers: [String]) async throws {
    let world = try await World(catalogue: Self.catalogue)
    let record = try JSON(parsing: Array(body.utf8))
    let answer = try await world.ask(.post, "devices/\(world.device.deviceId)/commands", record)
    let command = try JSON(parsing: Array(body.replacing("\"command\"", with: "\"type\"").utf8))
    let other = try await world.ask(.post, "api/v1/devices/\(world.device.deviceId)/commands", command)
    for answer in [answer, other] {
      #expect(answer.status == (pointers.isEmpty ? 201 : 422), "\(answer.json.text)")
      let found = answer.json["errors"]?.array?.compactMap { $0["pointer"]?.string } ?? []
      #expect(found.sorted() == pointers)
    }
    let open = try await world.ask(.get, "devices/\(world.device.deviceId)/commands").json
    #expect(open["items"]?.array?.count == (pointers.isEmpty ? 2 : 0))
  }

  @Test("a schema counts as it is now, also an older one that the directory goes back to")
  func revisions() {
    let catalogues = Catalogues()
    func faults(_ maximum: Int64, rev: Int64, board: UUID) -> Int {
      let catalogue: JSONObject = ["dim": ["paramsSchema": ["properties": ["n": ["maximum": .int(maximum)]]]]]
      let board = BoardEntity(
        id: board, organisationId: .v7(), soc: "s", isPublic: false, deviceType: nil, configSchemas: [:],
        commandCatalogue: catalogue, rev: rev)
      guard let entry = catalogues.catalogue(of: board)["dim"] else { return -1 }
      return catalogues.faults(of: ["n": 5], for: entry, of: board).count
    }
    let board = UUID.v7()
    #expect(faults(9, rev: 1, board: board) == 0 && faults(1, rev: 2, board: board) == 1)
    #expect(faults(1, rev: 2, board: board) == 1 && faults(9, rev: 1, board: board) == 0)
    // More than are remembered.
    for _ in 0..<1100 { #expect(faults(1, rev: 1, board: .v7()) == 1) }
    #expect(faults(9, rev: 3, board: board) == 0)
  }

  @Test("a board's timeouts hold for what neither the catalogue nor the request says")
  func timeouts() async throws {
    let world = try await World(
      catalogue: ["own": ["timeouts": ["deliverSeconds": 500]]], timeouts: ["deliverSeconds": 86_400])
    for (body, seconds) in [
      (["type": "REBOOT"], 86_400.0), (["type": "own"], 500),
      (["type": "REBOOT", "timeouts": ["deliverSeconds": 7]], 7),
    ] as [(JSON, Double)] {
      let id = try await world.command(body)
      let command = try await world.ask(.get, "api/v1/commands/\(id)").json
      let times = ["createdAt", "deadline"].compactMap { command[$0]?.string.flatMap { Date(rfc3339: $0) } }
      #expect(times.count == 2 && abs(times[1].timeIntervalSince(times[0]) - seconds) < 0.002)
    }
  }
}

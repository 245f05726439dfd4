import Foundation
import Kafka
import Testing
import Wire

@testable import RegistryService

@Suite("What the config service uses")
struct ConfigUserTests {
  private func tell(_ world: World, _ events: [(type: String, json: JSON)]) async throws -> Int {
    let messages = events.enumerated().map { number, event in
      KafkaMessage(
        topic: KafkaTopic.configEvents.rawValue, partition: 0, offset: Int64(number), key: Array("k".utf8),
        value: event.json.bytes, headers: [KafkaHeader(EventHeader.type, event.type)])
    }
    return try await world.database.withTransaction { connection in
      try await ConfigInbox().apply(messages, connection).rejected.count
    }
  }

  private func artefact(_ id: UUID, _ event: String, _ board: String, of organisation: String) -> (
    String, JSON
  ) {
    (
      "martlet.config.artefact\(event)",
      [
        "artefactId": .string(id.text), "organisationId": .string(organisation),
        "profile": ["type": "DEVICE_PROFILE", "id": .string(board)],
      ]
    )
  }

  @Test(
    "a board with artefacts, a group with bindings, an organisation with either: 409 that names them, until they are gone"
  )
  func inUse() async throws {
    let world = try await World.shared()
    let mine = try #require(world.names["mine"])
    for (path, body, kind) in [
      ("board", ["name": "b", "soc": .string(UUID.v7().text)], "artefact"),
      ("sensorProfile", ["name": "p"], "artefact"),
      ("group", ["name": "g"], "binding"),
    ] as [(String, JSON, String)] {
      let made = await world.send("POST", path, body: body)
      let object = try #require(made.json["id"]?.string)
      let user = UUID.v7()
      let member = kind == "artefact" ? "profile" : "target"
      func event(_ verb: String) -> (String, JSON) {
        (
          "martlet.config.\(kind)\(verb)",
          [
            "\(kind)Id": .string(user.text), "organisationId": .string(mine), member: ["id": .string(object)],
          ]
        )
      }
      #expect(try await tell(world, [event("Created"), event("Created")]) == 0)
      let refused = await world.send("DELETE", "\(path)/id/\(object)")
      #expect(refused.status == 409, "\(path)")
      #expect(refused.json["detail"]?.string?.contains("the \(kind) \(user.text)") == true, "\(path)")
      let ended = kind == "artefact" ? "Deleted" : "Removed"
      // The relay may tell both again.
      #expect(try await tell(world, [event(ended), event("Created"), event(ended)]) == 0)
      #expect(await world.send("DELETE", "\(path)/id/\(object)").status == 204, "\(path)")
    }
  }

  @Test("of other organisations' it is only said that there are some")
  func foreign() async throws {
    let world = try await World.shared()
    let other = try #require(world.names["other"])
    let board = await world.send(
      "POST", "board", body: ["name": "b", "soc": .string(UUID.v7().text), "public": true])
    let id = try #require(board.json["id"]?.string)
    let user = UUID.v7()
    #expect(try await tell(world, [artefact(user, "Created", id, of: other)]) == 0)
    let refused = await world.send("DELETE", "board/id/\(id)")
    #expect(refused.status == 409 && refused.json["detail"]?.string?.contains(user.text) == false)
    #expect(refused.json["detail"]?.string?.contains("other organisations") == true)
    #expect(try await tell(world, [artefact(user, "Deleted", id, of: other)]) == 0)
    #expect(await world.send("DELETE", "board/id/\(id)").status == 204)
  }

  @Test("what cannot be read is set aside, what is of devices is passed over")
  func unreadable() async throws {
    let world = try await World.shared()
    let events: [(String, JSON)] = [
      ("martlet.config.artefactCreated", ["artefactId": 1]), ("martlet.config.converged", []),
      ("martlet.config.bindingRemoved", [:]),
    ]
    #expect(try await tell(world, events) == 2)
  }
}

import Crypto
import FoundationEssentials
import HTTP
import Postgres
import TestSupport
import Testing
import Wire

@testable import ConfigService

@Suite struct ArtefactTests {
  private let path = "/api/v1/config-artefacts"

  @Test func anArtefactIsMadeAndRead() async throws {
    let world = try await World()
    let made = try await world.ask(
      .post, path, world.draft(["b": .double(1.5), "a": "€"], board: world.board))
    #expect(made.status == 201)
    let content = Array(#"{"a":"€","b":1.5}"#.utf8)
    #expect(made.json["content"]?.bytes == content)
    #expect(made.json["sha256"]?.string == SHA256.hash(data: content).hex)
    #expect(made.json["size"]?.int == Int64(content.count))
    #expect(made.json["version"] == 1)
    #expect(made.json["organisationId"]?.string == world.ours.text)
    #expect(made.json["contentType"] == "application/json")
    let location = made.headers["Location"] ?? ""
    #expect(try await world.ask(.get, location, as: .viewer).json == made.json)
    let bytes = try await world.ask(.get, location + "/content", as: .viewer)
    #expect(bytes.bytes == content)
    #expect(bytes.headers["Content-Type"] == "application/json")
    let tag = try #require(bytes.headers["ETag"])
    #expect(tag == "\"\(SHA256.hash(data: content).hex)\"")
    let known = try await world.ask(.get, location + "/content", as: .viewer, nil, ["If-None-Match": tag])
    #expect(known.status == 304)
    let list = try await world.ask(.get, path, as: .viewer).json["items"]?.array
    #expect(list?.count == 1)
    #expect(list?.first?["content"] == nil)
    #expect(try await world.ask(.delete, location).status == 204)
    #expect(try await world.ask(.get, location).status == 404)
    #expect(try await world.artefact()["version"] == 2, "a deleted version is never given again")
  }

  @Test func versionsCountForEachProfileAndSlot() async throws {
    let world = try await World()
    #expect(try await world.artefact()["version"] == 1)
    #expect(try await world.artefact()["version"] == 2, "the same content is a version too")
    #expect(try await world.artefact(slot: "mesh")["version"] == 1)
    #expect(try await world.artefact(board: world.publicBoard)["version"] == 1)
  }

  /// 50 creates at once through two replicas, each with its own connections.
  @Test func concurrentCreatesLeaveNoGap() async throws {
    let world = try await World()
    let other = try await Fixture(url: world.fixture.runtime.settings.databaseURL)
    let key = try #require(world.keys[.admin])
    let request = HTTPRequest(
      method: .post, target: path, headers: ["X-API-Key": key], body: world.draft(board: world.board).bytes)
    let versions = try await withThrowingTaskGroup(of: Int64?.self, returning: [Int64].self) { group in
      for number in 0..<50 {
        let api = number.isMultiple(of: 2) ? world.fixture.api : other.api
        group.addTask {
          guard case .bytes(let bytes) = await api.respond(to: request).body else { return nil }
          return try JSON(parsing: bytes)["version"]?.int
        }
      }
      return try await group.reduce(into: []) { if let version = $1 { $0.append(version) } }
    }
    #expect(versions.sorted() == Array(1...50))
  }

  @Test func pagesGoOnWhereTheLastOneEnded() async throws {
    let world = try await World()
    for _ in 0..<5 { _ = try await world.artefact() }
    _ = try await world.artefact(slot: "mesh", board: world.otherBoard)
    var versions: [Int64?] = []
    var next: String? = "\(path)?slot=wifi&limit=2"
    while let target = next {
      let page = try await world.ask(.get, target, as: .viewer).json
      versions += page["items"]?.array?.map { $0["version"]?.int } ?? []
      next = page["nextCursor"]?.string.map { "\(path)?slot=wifi&limit=2&cursor=\($0)" }
    }
    #expect(versions == [1, 2, 3, 4, 5])
    let ofBoard = try await world.ask(.get, "\(path)?profileId=\(world.otherBoard.text)").json["items"]?.array
    #expect(ofBoard?.map { $0["slot"]?.string } == ["mesh"])
    let third = try await world.ask(.get, "\(path)?slot=wifi&version=3").json["items"]?.array?.first
    #expect(third?["version"] == 3)
    let filters: [(String, Int)] = [
      ("sha256=\(third?["sha256"]?.string ?? "")", 6), ("sha256=\(String(repeating: "0", count: 64))", 0),
      ("profileType=DEVICE_PROFILE", 6), ("profileType=SENSOR_PROFILE", 0), ("slot=wif", 0),
    ]
    for (filter, count) in filters {
      let items = try await world.ask(.get, "\(path)?\(filter)").json["items"]?.array
      #expect(items?.count == count, "\(filter)")
    }
    for filter in [
      "sha256=ABC", "profileType=BOARD", "slot=a%20b", "version=0", "colour=red", "slot=a&slot=b",
    ] {
      #expect(try await world.ask(.get, "\(path)?\(filter)").status == 400, "\(filter)")
    }
    #expect(try await world.ask(.get, "\(path)?limit=0").status == 400)
    #expect(try await world.ask(.get, "\(path)?cursor=nonsense").status == 400)
    #expect(try await world.ask(.get, "\(path)?profileId=nonsense").status == 400)
  }

  @Test func whatDoesNotFitIsRefusedWithItsPointer() async throws {
    let world = try await World()
    let profile: JSON = ["type": "DEVICE_PROFILE", "id": .string(world.board.text)]
    let sensor: JSON = ["type": "SENSOR_PROFILE", "id": .string(world.board.text)]
    let theirs: JSON = [
      "type": "SENSOR_PROFILE", "id": .string(try await world.sensorProfile(of: world.theirs).text),
    ]
    let cases: [(JSON, [String])] = [
      ([:], ["/slot", "/profile", "/content"]),
      (["slot": "a b", "profile": profile, "content": 1], ["/slot"]),
      (
        ["slot": "wifi", "profile": ["type": "BOARD", "id": 1], "content": 1],
        ["/profile/type", "/profile/id"]
      ),
      (["slot": "wifi", "profile": sensor, "content": 1], ["/profile/id"]),
      (["slot": "wifi", "profile": theirs, "content": 1], ["/profile/id"]),
      (["slot": "wifi", "profile": profile, "content": 1, "version": 7], ["/version"]),
      (world.draft(board: world.theirBoard), ["/profile/id"]),
      (world.draft(board: UUID()), ["/profile/id"]),
      ([], [""]),
    ]
    for (body, pointers) in cases {
      let answer = try await world.ask(.post, path, body)
      #expect(answer.status == 422, "\(body.text)")
      #expect(answer.pointers == pointers, "\(body.text)")
    }
    #expect(try await world.ask(.post, path, key: world.keys[.admin], Array("{".utf8)).status == 400)
    let fits = JSON.string(String(repeating: "x", count: 64 * 1024 - 2))
    #expect(try await world.artefact(fits)["size"] == 65536)
    let large = JSON.string(String(repeating: "x", count: 64 * 1024 - 1))
    #expect(try await world.ask(.post, path, world.draft(large, board: world.board)).status == 413)
  }

  @Test func onlyWhoMayAndOnlyTheirOwn() async throws {
    let world = try await World()
    let location = "\(path)/\(try await world.artefact()["id"]?.string ?? "")"
    let body = world.draft(board: world.board)
    #expect(try await world.ask(.post, path, as: .viewer, body).status == 403)
    #expect(try await world.ask(.post, path, as: .operator, body).status == 403)
    #expect(try await world.ask(.delete, location, as: .operator).status == 403)
    for (method, target) in [(HTTPMethod.post, path), (.get, path), (.get, location), (.delete, location)] {
      #expect(try await world.ask(method, target, key: nil).status == 401)
      #expect(try await world.ask(method, target, key: "wrong").status == 401)
    }
    #expect(try await world.ask(.get, location, key: world.theirKey).status == 404)
    #expect(try await world.ask(.get, location + "/content", key: world.theirKey).status == 404)
    #expect(try await world.ask(.delete, location, key: world.theirKey).status == 404)
    #expect(try await world.ask(.get, path, key: world.theirKey).json["items"] == [])
    #expect(try await world.ask(.get, location, key: World.rootKey).status == 200)
    #expect(
      try await world.ask(.post, path, key: World.rootKey, body.bytes).status == 400, "in which organisation?"
    )
    let named = "\(path)?organisationId=\(world.ours.text)"
    #expect(try await world.ask(.post, named, key: World.rootKey, body.bytes).status == 201)
    #expect(try await world.ask(.get, "\(path)/nonsense").status == 404)
    #expect(try await world.ask(.put, location).status == 405)
  }

  @Test("with an Idempotency-Key one version is made, on whichever replica it is asked for again")
  func idempotency() async throws {
    let url = try await PostgresServer.shared().createDatabase("config")
    let world = try await World(on: Fixture(url: url))
    let other = try await Fixture(url: url)
    let draft = world.draft(board: world.board)
    let headers: HTTPFields = ["Idempotency-Key": "once", "X-API-Key": world.keys[.admin] ?? ""]
    let path = "/api/v1/config-artefacts"
    let first = try await world.ask(.post, path, draft, headers)
    #expect(first.status == 201)
    let again = await other.api.respond(
      to: HTTPRequest(method: .post, target: path, headers: headers, body: draft.bytes))
    guard case .bytes(let bytes) = again.body else { throw TestSupportError("no body") }
    #expect(again.status == 201)
    #expect(try JSON(parsing: bytes) == first.json)
    #expect(again.headers["Location"] == first.headers["Location"])
    let next = world.draft(["ssid": "y"], board: world.board)
    #expect(try await world.ask(.post, path, next, headers).status == 422)
    #expect(try await world.ask(.post, path, next).json["version"] == 2, "no gap")
  }
}

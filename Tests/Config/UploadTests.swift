import AsyncHTTPClient
import ConfigDomain
import Crypto
import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import ConfigService

/// Large artefacts, against the embedded store and against a real S3 server (where `MARTLET_TOOLS` has one).
@Suite(.serialized) struct UploadTests {
  private let path = ObjectWorld.path
  private let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

  @Test(
    "without MARTLET_TOOLS half of these tests is skipped",
    .enabled(if: S3Server.isThere, "no MARTLET_TOOLS/bin/versitygw"))
  func theRealServerIsThere() { #expect(StoreKind.here.count == 2) }

  @Test("announced, put, made, read, and gone with its artefact", arguments: StoreKind.here)
  func wholeWay(kind: StoreKind) async throws {
    try await ObjectWorld.run(kind) { store in
      let world = store.world
      let ticket = try await store.announce(store.draft(bytes, type: "application/x-model"))
      #expect(ticket["method"] == "PUT")
      #expect(try await store.complete(ticket).status == 409, "nothing is there yet")
      #expect(try await store.put(ticket, bytes).status == 200)
      let made = try await store.complete(ticket)
      #expect(made.status == 201)
      #expect(made.json["version"] == 1)
      #expect(made.json["size"] == .int(Int64(bytes.count)))
      #expect(made.json["sha256"]?.string == SHA256.hash(data: bytes).hex)
      #expect(made.json["contentType"] == "application/x-model")
      #expect(made.json["content"] == nil)
      let location = try #require(made.headers["Location"])
      #expect(try await world.ask(.get, location, as: .viewer).json == made.json)
      let again = try await store.complete(ticket)
      #expect(again.status == 409)
      #expect(again.json["detail"]?.string?.contains(made.json["id"]?.string ?? "?") == true)
      let url = try await store.address(made.json)
      let read = try await store.get(url)
      #expect(read.status == 200)
      #expect(read.body == bytes)
      #expect(read.headers["Content-Type"] == "application/x-model")
      #expect(read.headers["Content-Length"] == "\(bytes.count)")
      #expect(try await store.get(url, ["Range": "bytes=10-19"]).body == Array(bytes[10..<20]))
      #expect(try await world.ask(.get, location + "/content", key: world.theirKey).status == 404)

      #expect(try await world.ask(.delete, location).status == 204)
      let service = world.fixture.service
      #expect(try await service.deleteDroppedObjects(at: .now, limit: 10) == 1)
      let gone = try await store.get(url)
      #expect(gone.status == 404)
      #expect(code(gone) == "NoSuchKey")
      #expect(try await service.deleteDroppedObjects(at: .now, limit: 10) == 0, "later")
      #expect(try await service.deleteDroppedObjects(at: .now + 90_000, limit: 10) == 1, "a second time")
      #expect(try await service.deleteDroppedObjects(at: .now + 900_000, limit: 10) == 0, "and no more")
    }
  }

  @Test(
    "a plan says what of an uploaded artefact does not fit the schema as it is now", arguments: StoreKind.here
  )
  func plan(kind: StoreKind) async throws {
    try await ObjectWorld.run(kind) { store in
      let world = store.world
      let json = Array(#"{"v":1}"#.utf8)
      let draft = try await store.announce(store.draft(json, type: "application/json"))
      #expect(try await store.put(draft, json).status == 200)
      let made = try await store.complete(draft).json
      try await world.change(world.board, schemas: ["model": ["type": "string"]], rev: 9)
      let change: JSON = [
        "target": ["type": "DEVICE", "id": .string(world.device.deviceId)], "slot": made["slot"] ?? .null,
        "artefactId": made["id"] ?? .null,
      ]
      let planned = try await world.ask(
        .post, "\(World.bindings)/plan", as: .operator, ["changes": [change]])
      #expect(planned.json["total"] == 1)
      #expect(planned.json["devices"]?.array?.first?["fault"]?.string?.contains("must be a string") == true)
    }
  }

  @Test("what is not just what was signed is refused, by both in the same words", arguments: StoreKind.here)
  func refusals(kind: StoreKind) async throws {
    try await ObjectWorld.run(kind) { store in
      let ticket = try await store.announce(store.draft(bytes))
      let url = try #require(ticket["url"]?.string)
      func expect(_ answer: HTTPClientResponse, _ status: Int, _ word: String, _ what: Comment) {
        #expect(answer.status == status, what)
        #expect(code(answer) == word, what)
      }
      var other = bytes
      other[0] ^= 1
      expect(try await store.put(ticket, other), 400, "BadDigest", "other bytes")
      let longer = try await store.put(ticket, bytes + [1], ["Content-Length": "\(bytes.count + 1)"])
      expect(longer, 403, "SignatureDoesNotMatch", "another length")
      let hash = Data(SHA256.hash(data: other)).base64EncodedString()
      let hashed = try await store.put(ticket, other, ["x-amz-checksum-sha256": hash])
      expect(hashed, 403, "SignatureDoesNotMatch", "another hash")
      let typed = try await store.put(ticket, bytes, ["Content-Type": "text/html"])
      expect(typed, 403, "SignatureDoesNotMatch", "another type")
      let id = ticket["uploadId"]?.string ?? "?"
      let elsewhere = try await store.put(ticket, bytes, url: url.replacing(id, with: UUID().text))
      expect(elsewhere, 403, "SignatureDoesNotMatch", "another key")
      expect(try await store.get(url), 403, "SignatureDoesNotMatch", "another method")
      let unsigned = String(url.prefix { $0 != "?" })
      #expect(try await store.put(ticket, bytes, url: unsigned).status == (kind == .embedded ? 400 : 403))
      let tampered = String(url.dropLast()) + (url.hasSuffix("0") ? "1" : "0")
      expect(
        try await store.put(ticket, bytes, url: tampered), 403, "SignatureDoesNotMatch", "another signature")
      let amz = try await store.put(ticket, bytes, ["x-amz-meta-more": "1"])
      #expect(amz.status == 403, "a header of S3's that is not signed")
      #expect(try await store.complete(ticket).status == 409, "nothing of it is there")
      #expect(try store.files().isEmpty)

      #expect(try await store.put(ticket, bytes).status == 200)
      expect(try await store.put(ticket, bytes), 412, "PreconditionFailed", "a second time")
      #expect(try await store.complete(ticket).status == 201)
    }
  }

  @Test("an address has its time", arguments: StoreKind.here)
  func expiry(kind: StoreKind) async throws {
    try await ObjectWorld.run(kind) { store in
      let made = try await store.upload(bytes)
      let objects = store.world.fixture.service.objects
      let id = try #require(
        try await store.world.fixture.service.artefact(
          UUID(text: made["id"]?.string ?? "") ?? UUID(), in: nil
        ).object)
      for (method, seconds) in [("GET", 3601.0), ("PUT", 901)] {
        let url = objects.location.url(
          method, id.segments, headers: method == "GET" ? [] : [("content-length", "1")], at: .now - seconds,
          seconds: Int(seconds) - 1)
        let answer =
          method == "GET"
          ? try await store.get(url) : try await store.put([:], [1], ["Content-Length": "1"], url: url)
        #expect(answer.status == 403)
        #expect(code(answer) == "AccessDenied")
      }
    }
  }

  @Test("what nobody completes goes, and what was completed stays", arguments: StoreKind.here)
  func sweeps(kind: StoreKind) async throws {
    try await ObjectWorld.run(kind) { store in
      let made = try await store.upload(bytes)
      let stale = try await store.announce(store.draft(bytes))
      #expect(try await store.put(stale, bytes).status == 200)
      _ = try await store.announce(store.draft(bytes))
      let service = store.world.fixture.service
      #expect(try await service.sweepUploads(at: .now, limit: 10) == 0)
      #expect(
        try await service.sweepUploads(at: .now + 1700, limit: 10) == 0,
        "there is some time left after the expiry")
      // Two replicas at once take each of them once.
      let other = try await Fixture(url: store.url, store: .embedded())
      async let ours = service.sweepUploads(at: .now + 1900, limit: 2)
      async let theirs = other.service.sweepUploads(at: .now + 1900, limit: 2)
      var swept = try await ours + theirs
      swept += try await service.sweepUploads(at: .now + 1900, limit: 10)
      #expect(swept == 3)
      #expect(try await service.deleteDroppedObjects(at: .now + 1900, limit: 10) == 2)
      #expect(try await store.complete(stale).pointers == ["/uploadId"])
      #expect(try await store.get(try await store.address(made)).body == bytes)
      if kind == .embedded { #expect(try store.files().count == 1) }
    }
  }

  @Test("the bytes are looked at again before the version is there")
  func looksAgain() async throws {
    try await ObjectWorld.run { store in
      let ticket = try await store.announce(store.draft(bytes))
      #expect(try await store.put(ticket, bytes).status == 200)
      let file = "\(store.folder)/\(try store.files()[0])"
      var other = bytes
      other[bytes.count / 2] ^= 1
      for wrong in [other, Array(bytes.dropLast())] {
        try Data(wrong).write(to: URL(filePath: file))
        #expect(try await store.complete(ticket).pointers == ["/uploadId"])
      }
      try Data(bytes).write(to: URL(filePath: file))
      #expect(try await store.complete(ticket).json["version"] == 1, "no refusal took a version")
    }
  }

  @Test("with an Idempotency-Key the first answers come again")
  func idempotency() async throws {
    try await ObjectWorld.run { store in
      let headers: HTTPFields = ["Idempotency-Key": "announce"]
      let draft = store.draft(bytes)
      let first = try await store.world.ask(.post, "\(path)/upload-url", draft, headers)
      #expect(try await store.world.ask(.post, "\(path)/upload-url", draft, headers).json == first.json)
      #expect(try await store.put(first.json, bytes).status == 200)
      let made = try await store.complete(first.json, ["Idempotency-Key": "complete"])
      let again = try await store.complete(first.json, ["Idempotency-Key": "complete"])
      #expect(made.status == 201)
      #expect(again.json == made.json)
    }
  }

  @Test("of many who complete one upload at once one makes the version")
  func completedAtOnce() async throws {
    try await ObjectWorld.run { store in
      let ticket = try await store.announce(store.draft(bytes))
      #expect(try await store.put(ticket, bytes).status == 200)
      let statuses = try await withThrowingTaskGroup(of: Int.self, returning: [Int].self) { group in
        for _ in 0..<8 { group.addTask { try await store.complete(ticket).status } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(statuses.sorted() == [201] + [Int](repeating: 409, count: 7))
      #expect(try await store.upload([1])["version"] == 2)
    }
  }
}

extension StoredArtefact {
  /// Where it is, if it is large.
  var object: ObjectKey? { if case .object(let object) = body { object } else { nil } }
}

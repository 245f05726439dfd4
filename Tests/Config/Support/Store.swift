import AsyncHTTPClient
import Crypto
import Foundation
import HTTP
import Loop
import Observability
import Runtime
import TestSupport
import Wire

@testable import ConfigService

/// The settings of an object store.
struct Store: Sendable {
  static let secret = S3Server.secret

  let arguments: [String]

  /// Files in a folder, at an address that nobody serves.
  static func embedded(
    folder: String? = nil, port: Int = 1, _ more: [String] = []
  ) throws -> Store {
    let folder = try folder ?? RunFolder.make("objects").path
    return Store(
      arguments: ["--objects-folder", folder, "--objects-url", "http://127.0.0.1:\(port)"] + more)
  }

  static func s3(_ server: S3Server) -> Store {
    Store(arguments: ["--s3-endpoint", server.endpoint, "--s3-access-key", S3Server.accessKey])
  }
}

/// Which store a test is about.
enum StoreKind: String, Sendable, CaseIterable {
  case embedded, s3

  static var here: [StoreKind] { allCases.filter { $0 == .embedded || S3Server.isThere } }
}

/// A world whose object store can be reached as its clients reach it.
final class ObjectWorld: Sendable {
  let world: World
  let folder: String
  let url: String
  private let server: HTTPServer?
  private let s3: S3Server?
  private let client = HTTPClient(logger: Logger(label: "c", level: .critical))

  /// - Parameters:
  ///   - folder: of the embedded store; a fresh one if there is none.
  ///   - database: two on one, and on one folder, are two replicas.
  init(
    _ kind: StoreKind = .embedded, folder given: String? = nil, database: String? = nil, _ more: [String] = []
  ) async throws {
    url = if let database { database } else { try await PostgresServer.shared().createDatabase("config") }
    folder = try given ?? RunFolder.make("objects").path
    switch kind {
    case .s3:
      let started = try await S3Server()
      s3 = started
      server = nil
      world = try await World(on: Fixture(url: url, store: .s3(started)))
    case .embedded:
      s3 = nil
      let port = try freePort()
      let fixture = try await Fixture(url: url, store: .embedded(folder: folder, port: port, more))
      let api = fixture.api
      server = HTTPServer(
        configuration: HTTPServerConfiguration(
          port: port, streamedBodies: .init(prefix: ["objects"], maximumBytes: 1 << 30)),
        loop: fixture.runtime.loop, logger: fixture.runtime.logger, handler: { await api.respond(to: $0) })
      try server?.start()
      world = try await World(on: fixture)
    }
  }

  /// A test's end: the server has to be shut down before it is let go.
  func end() async {
    await server?.shutdown()
    s3?.stop()
  }

  /// Runs a test in one.
  static func run(
    _ kind: StoreKind = .embedded, _ more: [String] = [], _ body: (ObjectWorld) async throws -> Void
  ) async throws {
    let world = try await ObjectWorld(kind, more)
    do { try await body(world) } catch {
      await world.end()
      throw error
    }
    await world.end()
  }

  static let path = "/api/v1/config-artefacts"

  func draft(
    _ bytes: [UInt8], slot: String = "model", type: String = "application/octet-stream", board: UUID? = nil
  ) -> JSON {
    [
      "slot": .string(slot),
      "profile": ["type": "DEVICE_PROFILE", "id": .string((board ?? world.board).text)],
      "size": .int(Int64(bytes.count)), "sha256": .string(SHA256.hash(data: bytes).hex),
      "contentType": .string(type),
    ]
  }

  func announce(_ draft: JSON) async throws -> JSON {
    let answer = try await world.ask(.post, "\(Self.path)/upload-url", draft)
    guard answer.status == 201 else { throw TestSupportError("not announced: \(answer.json.text)") }
    return answer.json
  }

  /// Puts the bytes as the ticket says.
  func put(
    _ ticket: JSON, _ bytes: [UInt8], _ changed: HTTPFields = [:], method: HTTPMethod = .put,
    url: String? = nil
  ) async throws -> HTTPClientResponse {
    var headers = HTTPFields(
      (ticket["headers"]?.object?.members ?? []).map { .init($0.name, $0.value.string ?? "") })
    for field in changed { headers[field.name] = field.value }
    return try await client.execute(
      method, url: url ?? ticket["url"]?.string ?? "", headers: headers, body: bytes, timeout: .seconds(30))
  }

  func get(_ url: String, _ headers: HTTPFields = [:]) async throws -> HTTPClientResponse {
    try await client.execute(.get, url: url, headers: headers)
  }

  func complete(_ ticket: JSON, _ headers: HTTPFields = [:]) async throws -> Answer {
    try await world.ask(.post, Self.path, ["uploadId": ticket["uploadId"] ?? .null], headers)
  }

  /// Announces, puts and completes.
  func upload(_ bytes: [UInt8], type: String = "application/octet-stream") async throws -> JSON {
    let ticket = try await announce(draft(bytes, type: type))
    let answer = try await put(ticket, bytes)
    guard answer.status == 200 else {
      throw TestSupportError("put: \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
    }
    let made = try await complete(ticket)
    guard made.status == 201 else { throw TestSupportError("not made: \(made.json.text)") }
    return made.json
  }

  /// Where the content is to be had, by redirect.
  func address(_ artefact: JSON) async throws -> String {
    let answer = try await world.ask(
      .get, "\(Self.path)/\(artefact["id"]?.string ?? "")/content", as: .viewer)
    guard answer.status == 307, let url = answer.headers["Location"] else {
      throw TestSupportError("no redirect: \(answer.status)")
    }
    return url
  }

  /// The names of all files of the embedded store.
  func files() throws -> [String] {
    let all = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
    return all.filter { name in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder)
        && !isFolder.boolValue
    }
  }
}

/// S3's word for what is wrong.
func code(_ answer: HTTPClientResponse) -> String? {
  let text = String(decoding: answer.body, as: UTF8.self)
  guard let start = text.range(of: "<Code>"), let end = text.range(of: "</Code>") else { return nil }
  return String(text[start.upperBound..<end.lowerBound])
}

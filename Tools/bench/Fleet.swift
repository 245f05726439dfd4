import AsyncHTTPClient
import FoundationEssentials
import HTTP
import Loop
import Observability
import Runtime
import Wire

/// Where the suite is and which fleet to make.
struct FleetSettings: Sendable {
  let url: String
  let rootKey: String
  let devices: Int
  let folder: String

  init(_ settings: inout SettingsReader) {
    url = settings.string("url", help: "The edge's address.")
    rootKey = settings.secret("root-key", help: "The root key.")
    devices = settings.int("devices", default: 1000, in: 1...100_000, help: "How many devices.")
    folder = settings.string("folder", default: ".run/bench", help: "Where devices.txt and key.txt are kept.")
  }
}

/// The devices of a measurement.
enum Fleet {
  static func prepare(_ settings: FleetSettings, on loop: EventLoop) async throws {
    let logger = Logger(label: "bench", level: .warning)
    let client = HTTPClient(logger: logger)
    let root = Caller(client: client, url: settings.url, key: settings.rootKey)
    let run = Identifier.randomDeviceId()
    let organisation = try await root.post("/organisation", ["name": .string("Bench \(run)")])
    let organisationId = organisation["id"] ?? .null
    let key = try await root.post(
      "/apiKey", ["organisationId": organisationId, "name": "bench", "role": "admin"])
    let admin = Caller(client: client, url: settings.url, key: key["key"]?.string ?? "")
    let board = try await admin.post(
      "/board",
      [
        "name": "Bench board", "description": "", "soc": .string("bench-\(run)"),
        "organisationId": organisationId,
        "public": false, "metadataFields": [],
      ])
    let boardId = board["id"] ?? .null
    let ids = try await withThrowingTaskGroup(of: String.self) { group in
      var ids: [String] = []
      for number in 0..<settings.devices {
        if number >= 16, let id = try await group.next() { ids.append(id) }
        group.addTask {
          let device = try await admin.post(
            "/device",
            [
              "mcuId": .string("bench-\(number)"), "boardId": boardId, "organisationId": organisationId,
              "metadata": [:],
            ])
          return device["deviceId"]?.string ?? ""
        }
      }
      for try await id in group { ids.append(id) }
      return ids
    }
    try FileManager.default.createDirectory(atPath: settings.folder, withIntermediateDirectories: true)
    try Data((ids.joined(separator: "\n") + "\n").utf8).write(
      to: URL(filePath: settings.folder + "/devices.txt"))
    try Data((admin.key + "\n").utf8).write(to: URL(filePath: settings.folder + "/key.txt"))
    Program.print("made \(ids.count) devices")
    await client.shutdown()
  }
}

/// One client of the suite's HTTP API.
struct Caller: Sendable {
  let client: HTTPClient
  let url: String
  let key: String

  /// Posts and gives the answer.
  /// - Throws: `Refused` unless it is a 2xx.
  func post(_ path: String, _ body: JSON) async throws -> JSON {
    let answer = try await client.execute(
      .post, url: url + path, headers: ["X-API-Key": key, "Content-Type": "application/json"],
      body: body.bytes)
    guard (200..<300).contains(answer.status) else {
      throw Refused(path: path, status: answer.status, body: String(decoding: answer.body, as: UTF8.self))
    }
    return try JSON(parsing: answer.body)
  }
}

/// The suite refused what the measurement needs.
struct Refused: Error, CustomStringConvertible {
  let path: String
  let status: Int
  let body: String
  var description: String { "POST \(path) was answered \(status): \(body)" }
}

import Foundation
import Testing
import Wire

@testable import RegistryService

/// The examples of docs/filters.md, run.
@Suite("docs/filters.md")
struct FilterDocumentTests {
  private static let text: String = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return (try? String(contentsOf: root.appending(path: "docs/filters.md"), encoding: .utf8)) ?? ""
  }()

  /// The rows of tables whose head says `filter` and `finds`.
  private static var examples: [(filter: String, finds: [String])] {
    var isExample = false
    return text.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line in
      guard line.hasPrefix("|") else {
        isExample = false
        return nil
      }
      if line == "| filter | finds |" { isExample = true }
      guard isExample, line.hasPrefix("| `"), let end = line.lastIndex(of: "`") else { return nil }
      let filter = line[line.index(line.startIndex, offsetBy: 3)..<end]
      let finds = line[end...].dropFirst().split { $0 == "|" || $0 == " " }.map(String.init)
      return (String(filter), finds)
    }
  }

  private static func fleet(_ world: World, _ board: String) async throws {
    let block = text.components(separatedBy: "```json\n").dropFirst().first?.components(separatedBy: "```")
      .first
    for line in block?.split(separator: "\n") ?? [] {
      let device = try JSON(parsing: String(line))
      var body = device.object ?? JSONObject()
      (body["state"], body["online"], body["boardId"]) = (nil, nil, .string(board))
      let answer = await world.send("POST", "device", body: .object(body))
      let id = try #require(answer.json["deviceId"]?.string)
      if let state = device["state"]?.object {
        try await StateStorageTests.apply(
          world, [StateStorageTests.record(id, .state(.init(attributes: state)), at: 1)])
      }
      if let online = device["online"]?.bool {
        try await StateStorageTests.apply(
          world, [StateStorageTests.record(id, .presence(online: online), at: 2)])
      }
    }
  }

  @Test("every example finds what the page says")
  func examples() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    try await Self.fleet(world, board)
    #expect(Self.examples.count > 20)
    for (filter, finds) in Self.examples {
      let answer = await world.send("GET", "device?boardId=\(board)&filter=\(ListTests.escape(filter))")
      #expect(ListTests.names(answer) == finds, "\(filter): \(answer.json.text.prefix(300))")
    }
  }
}

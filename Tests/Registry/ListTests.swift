import Foundation
import HTTP
import Testing
import Wire

@testable import RegistryService

@Suite("Lists")
struct ListTests {
  /// A board with so many devices, `n0`, `n1`, … (no hexadecimal digit, which a random id could have), each with its
  /// number's parity in its metadata.
  static func board(_ world: World, devices count: Int) async throws -> String {
    let board = try await DeviceTests.board(world)
    for number in 0..<count {
      let body: JSON = [
        "boardId": .string(board), "mcuId": .string("n\(number)"), "name": .string("Number \(number)"),
        "metadata": ["parity": .string(number % 2 == 0 ? "even" : "odd"), "all": "yes"],
      ]
      #expect(await world.send("POST", "device", body: body).status == 201)
    }
    return board
  }

  static func names(_ answer: Answer) -> [String] {
    (answer.json.array ?? []).compactMap { $0["mcuId"]?.string }
  }

  /// Follows `Link` to the end.
  static func walk(_ world: World, _ path: String) async throws -> [[String]] {
    var pages: [[String]] = []
    var next: String? = path
    while let path = next, pages.count < 50 {
      let answer = await world.send("GET", path)
      #expect(answer.status == 200)
      pages.append(names(answer))
      next = answer.headers["Link"].map { String($0.dropFirst(2).prefix { $0 != ">" }) }
      #expect(answer.headers["Link"]?.hasSuffix("; rel=\"next\"") ?? true)
    }
    return pages
  }

  @Test("pages by cursor and by offset, with the number of all")
  func pages() async throws {
    let world = try await World.shared()
    let board = try await Self.board(world, devices: 7)
    let path = "device?boardId=\(board)&q=Number+&metadata.all=yes"
    #expect(
      try await Self.walk(world, path + "&limit=3") == [["n0", "n1", "n2"], ["n3", "n4", "n5"], ["n6"]])
    #expect(try await Self.walk(world, path + "&limit=7") == [(0..<7).map { "n\($0)" }])
    #expect(try await Self.walk(world, path + "&limit=3&offset=2") == [["n2", "n3", "n4"], ["n5", "n6"]])
    #expect(await world.send("GET", path + "&limit=1").headers["X-Total-Count"] == "7")
    #expect(await world.send("GET", path + "&offset=100").json == [])
    let next = try #require(await world.send("GET", path + "&limit=1").headers["Link"])
    let cursor = next.dropFirst(2).prefix { $0 != ">" }
    #expect(await world.send("GET", "\(cursor)&offset=1").status == 400)
    let withState = await world.send("GET", "device-and-state?boardId=\(board)&limit=2")
    #expect(Self.names(withState) == ["n0", "n1"])
    #expect(withState.json.array?.allSatisfy { $0["state"]?["createdAt"] != nil } == true)
  }

  @Test(
    "filters",
    arguments: [
      ("metadata.parity=odd", ["n1", "n3"]), ("metadata.parity=odd&metadata.all=yes", ["n1", "n3"]),
      ("metadata.parity=odd&metadata.all=no", []), ("q=NUMBER+3", ["n3"]), ("q=n2", ["n2"]), ("q=%25", []),
      ("online=true", []), ("online=false&metadata.parity=even", ["n0", "n2"]),
      ("online=false&q=number", ["n0", "n1", "n2", "n3"]),
    ] as [(String, [String])])
  func filters(_ query: String, _ expected: [String]) async throws {
    let world = try await World.shared()
    let board = try await Self.board(world, devices: 4)
    for path in ["device", "device-and-state"] {
      let answer = await world.send("GET", "\(path)?boardId=\(board)&\(query)")
      #expect(Self.names(answer) == expected)
      #expect(answer.headers["X-Total-Count"] == "\(expected.count)")
    }
  }

  @Test("the devices of a board, by a value")
  func devicesOfBoard() async throws {
    let world = try await World.shared()
    let board = try await Self.board(world, devices: 3)
    #expect(Self.names(await world.send("GET", "board/id/\(board)/devices")) == ["n0", "n1", "n2"])
    let odd = await world.send("GET", "board/id/\(board)/devices?metadataName=parity&metadataValue=odd")
    #expect(Self.names(odd) == ["n1"])
  }
}

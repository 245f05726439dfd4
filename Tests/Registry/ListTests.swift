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

  /// For a value in an address.
  static func escape(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
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

@Suite("Strict lists")
struct StrictListTests {
  static let lists = [
    "organisation", "apiKey", "board", "board/id/{board}/devices", "device", "device-and-state",
  ]

  @Test(
    "what is not known, given twice or out of range is 400 that names it",
    arguments: lists,
    [
      ("limit=0", "limit"), ("limit=-1", "limit"), ("limit=1001", "limit"), ("limit=1e2", "limit"),
      ("limit=%20100", "limit"), ("limit=%2B5", "limit"), ("limit=", "limit"), ("limit=1&limit=1", "limit"),
      ("offset=-1", "offset"), ("offset=1000000000000000000", "offset"), ("cursor=", "cursor"),
      ("cursor=garbage", "cursor"), ("cursor=WyJhIiwiYiIsImMiXQ", "cursor"), ("unknown=1", "unknown"),
      ("Limit=1", "Limit"), ("metadataname=n", "metadataname"), ("online=TRUE", "online"),
    ])
  func refused(_ list: String, _ query: (String, String)) async throws {
    let answer = try await World.shared().send("GET", "\(list)?\(query.0)")
    #expect(answer.status == 400)
    #expect(answer.json["detail"]?.string?.contains(query.1) == true, "\(answer.json.text)")
  }

  @Test("a cursor is of its list, its filters and its organisation")
  func cursors() async throws {
    let world = try await World.shared()
    let board = try await ListTests.board(world, devices: 3)
    func cursor(_ path: String, as key: String = "admin") async throws -> Substring {
      let link = try #require(await world.send("GET", path, as: key).headers["Link"])
      return try #require(link.split(separator: "cursor=").last).prefix { $0 != ">" && $0 != "&" }
    }
    let all = try await cursor("device?limit=1")
    #expect(await world.send("GET", "device?cursor=\(all)&limit=2").status == 200)
    for path in ["device?boardId=\(board)", "device?filter=soc==x", "device-and-state?", "board?"] {
      #expect(await world.send("GET", "\(path)&cursor=\(all)").status == 400, "\(path)")
    }
    let filtered = try await cursor("device?boardId=\(board)&metadata.all=yes&limit=1")
    #expect(
      await world.send("GET", "device?metadata.all=yes&boardId=\(board)&cursor=\(filtered)").status == 200)
    #expect(await world.send("GET", "device?boardId=\(board)&cursor=\(filtered)").status == 400)
    #expect(await world.send("GET", "device?cursor=\(all)", as: "stranger").status == 400)
    #expect(await world.send("GET", "device?cursor=\(all)", as: "root").status == 400)
    #expect(await world.send("GET", "device?cursor=\(all)", as: "viewer").status == 200)
  }

  @Test("filters with odd characters find what they say")
  func oddCharacters() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let metadata: JSON = [
      "fw.channel": "beta", "rack&row": "R&D + 50%", "a b": "O'Brien", "n": "a%26b", "u": "_",
    ]
    let body: JSON = ["boardId": .string(board), "mcuId": "odd", "name": "50%_\\", "metadata": metadata]
    #expect(await world.send("POST", "device", body: body).status == 201)
    for query in [
      "metadata.fw.channel=beta", "metadata.rack%26row=R%26D%20%2B%2050%25", "metadata.a+b=O'Brien",
      "metadata.n=a%2526b", "metadata.u=_", "q=%25", "q=_", "q=%5C", "q=50%25_%5c",
    ] {
      #expect(
        ListTests.names(await world.send("GET", "device?boardId=\(board)&\(query)")) == ["odd"], "\(query)")
    }
    let value = "board/id/\(board)/devices?metadataName=n&metadataValue=a%2526b"
    #expect(ListTests.names(await world.send("GET", value)) == ["odd"])
    for query in ["metadata.u=%25", "metadata.fw=beta", "metadata.n=a%26b", "q=%25%25", "q=*"] {
      #expect(await world.send("GET", "device?boardId=\(board)&\(query)").json == [], "\(query)")
    }
    #expect(await world.send("GET", "device?metadata.=x").status == 400)
    #expect(await world.send("GET", "device?metadata.u=_&metadata.u=x").status == 400)
    // Two names, though they look the same.
    #expect(await world.send("GET", "device?metadata.caf%C3%A9=x&metadata.cafe%CC%81=x").status == 200)
  }

  @Test("the number of all devices is kept, however they come and go")
  func counts() async throws {
    let world = try await World.shared()
    let name = "Counted \(UUID().uuidString)"
    let organisation = await world.send("POST", "organisation", body: ["name": .string(name)], as: "root")
    let id = try #require(organisation.json["id"]?.string)
    let board: JSON = ["name": "b", "soc": "s", "organisationId": .string(id)]
    let boardId = try #require(await world.send("POST", "board", body: board, as: "root").json["id"])
    func total() async -> String? {
      await world.send("GET", "device?organisationId=\(id)&limit=1", as: "root").headers["X-Total-Count"]
    }
    #expect(await total() == "0")
    var ids: [String] = []
    for number in 0..<5 {
      let body: JSON = [
        "boardId": boardId, "mcuId": .string("\(id)\(number)"), "organisationId": .string(id),
      ]
      ids.append(try #require(await world.send("POST", "device", body: body, as: "root").json["id"]?.string))
    }
    #expect(await total() == "5")
    #expect(await world.send("DELETE", "device/id/\(ids[0])", as: "root").status == 204)
    #expect(await total() == "4")
    while try await DeviceCounts.fold(on: world.database, atLeast: 2, limit: 2) {}
    #expect(await total() == "4")
    let counted = try await world.database.query("SELECT count(*) FROM device").first?.decode(Int64.self)
    let kept = try await world.database.query(DeviceCounts.query(nil)).first?.decode(Int64.self)
    #expect(counted.map { abs($0 - (kept ?? -1)) < 50 } == true, "others work beside")
    for id in ids.dropFirst() {
      #expect(await world.send("DELETE", "device/id/\(id)", as: "root").status == 204)
    }
    #expect(await world.send("DELETE", "board/id/\(boardId.string ?? "")", as: "root").status == 204)
    #expect(await world.send("DELETE", "organisation/id/\(id)", as: "root").status == 204)
    let left = try await world.database.query(
      "SELECT count(*) FROM device_count WHERE organisation_id = \(UUID(uuidString: id))"
    ).first?.decode(Int64.self)
    #expect(left == 0)
  }
}

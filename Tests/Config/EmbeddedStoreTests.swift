import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import ConfigService

/// The embedded object store where things go wrong.
@Suite(.serialized) struct EmbeddedStoreTests {
  private let bytes = [UInt8](repeating: 7, count: 2_000_000)

  @Test("a client that goes in the middle leaves nothing, and may come again")
  func brokenOff() async throws {
    try await ObjectWorld.run { store in
      let ticket = try await store.announce(store.draft(bytes))
      let url = try #require(ticket["url"]?.string.flatMap { URL(string: $0) })
      let target = "\(url.path(percentEncoded: true))?\(url.query(percentEncoded: true) ?? "")"
      let headers = (ticket["headers"]?.object?.members ?? []).map {
        "\($0.name): \($0.value.string ?? "")\r\n"
      }
      let head = "PUT \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(url.port ?? 0)\r\n\(headers.joined())\r\n"
      for length in [0, 1, 100_000, 1_999_999] {
        var client: RawSocket? = try RawSocket(port: url.port ?? 0)
        try client?.send(Array(head.utf8) + bytes.prefix(length))
        if length > 0 {
          try await eventually("it has begun") { try store.files().contains { $0.hasPrefix(".incoming/") } }
        }
        client = nil
        // An end that comes with the last bytes libmicrohttpd does not see: then its time-out of 60 s tells.
        try await eventually("nothing is left of it", within: 90) { try store.files().isEmpty }
      }
      #expect(try await store.complete(ticket).status == 409)
      #expect(try await store.put(ticket, bytes).status == 200)
      #expect(try store.files().count == 1)
    }
  }

  @Test("of two replicas that are sent one object at once one takes it, and either serves it")
  func twoReplicas() async throws {
    try await ObjectWorld.run { store in
      let other = try await ObjectWorld(folder: store.folder, database: store.url)
      for _ in 0..<5 {
        let ticket = try await store.announce(store.draft(bytes))
        let here = try #require(ticket["url"]?.string)
        // The address is signed for one host, which both are behind: the edge.
        let host = try #require(URL(string: here)?.port)
        async let first = store.put(ticket, bytes)
        async let second = other.put(ticket, bytes, ["Host": "127.0.0.1:\(host)"], url: other.reached(here))
        let statuses = try await [first.status, second.status].sorted()
        #expect(statuses == [200, 412])
        #expect(try await store.complete(ticket).status == 201)
      }
      #expect(try store.files().count == 5)
      await other.end()
    }
  }

  @Test("a disk that is full is 507, with nothing half", .enabled(if: getuid() == 0, "mounting needs root"))
  func full() async throws {
    let folder = try RunFolder.make("full").path
    guard run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder) == 0 else { return }
    defer { _ = run("umount", "-l", folder) }
    let store = try await ObjectWorld(folder: folder)
    let large = [UInt8](repeating: 1, count: 8_000_000)
    let refused = try await store.put(try await store.announce(store.draft(large)), large)
    #expect(refused.status == 507)
    #expect(code(refused) == "InsufficientStorage")
    // Two that fit one by one and not together: the room is looked at first, and the write fails all the same.
    let pair = try await [store.announce(store.draft(bytes)), store.announce(store.draft(bytes))]
    async let first = store.put(pair[0], bytes)
    async let second = store.put(pair[1], bytes)
    let statuses = try await Set([first.status, second.status])
    #expect(statuses.isSubset(of: [200, 507]))
    #expect(statuses.contains(507))
    #expect(try store.files().allSatisfy { !$0.hasPrefix(".incoming") })
    await store.end()
  }

  @Test("what a killed process has left in the folder goes after some days")
  func tidies() async throws {
    try await ObjectWorld.run { store in
      let left = "\(store.folder)/.incoming/left"
      try Data([1]).write(to: URL(filePath: left))
      let objects = store.world.fixture.service.objects
      try await objects.tidy(at: .now + 86_400)
      #expect(try store.files().count == 1, "it may be somebody's yet")
      try await objects.tidy(at: .now + 3 * 86_400)
      #expect(try store.files().isEmpty)
    }
  }

  @Test("names that are no object's are no files either")
  func names() async throws {
    try await ObjectWorld.run { store in
      try Data("secret".utf8).write(to: URL(filePath: "\(store.folder)/secret"))
      let location = store.world.fixture.service.objects.location
      for key in [
        ["..", "secret"], [".incoming", "x"], [UUID().text, "../secret"], ["", "secret"], ["a", "b"],
      ] {
        let answer = try await store.get(location.url("GET", key, at: .now, seconds: 60))
        #expect(answer.status == 404, "\(key)")
        #expect(!String(decoding: answer.body, as: UTF8.self).contains("secret\n"))
      }
      let known = try await store.get(location.url("GET", [UUID().text, UUID().text], at: .now, seconds: 60))
      #expect(code(known) == "NoSuchKey")
      #expect(known.headers["Content-Type"] == "application/xml")
    }
  }

  @Test("ranges as devices ask for them")
  func ranges() async throws {
    try await ObjectWorld.run { store in
      let url = try await store.address(try await store.upload(Array(0..<100)))
      let cases: [(String, Int, ClosedRange<UInt8>)] = [
        ("bytes=0-9", 206, 0...9), ("bytes=90-", 206, 90...99), ("bytes=-5", 206, 95...99),
        ("bytes=50-1000", 206, 50...99), ("bytes=-500", 206, 0...99), ("lines=1-2", 200, 0...99),
        ("bytes=0-\(Int.max)", 206, 0...99), ("bytes=5-4", 200, 0...99), ("bytes=0-1,5-6", 200, 0...99),
      ]
      for (range, status, expected) in cases {
        let answer = try await store.get(url, ["Range": range])
        #expect(answer.status == status, "\(range)")
        #expect(answer.body == Array(expected), "\(range)")
      }
      let part = try await store.get(url, ["Range": "bytes=0-9"])
      #expect(part.headers["Content-Range"] == "bytes 0-9/100")
      let beyond = try await store.get(url, ["Range": "bytes=100-"])
      #expect(beyond.status == 416)
      #expect(code(beyond) == "InvalidRange")
    }
  }

  private func run(_ arguments: String...) -> Int32 {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return -1 }
    process.waitUntilExit()
    return process.terminationStatus
  }
}

extension ObjectWorld {
  /// The same address by way of this replica.
  func reached(_ url: String) throws -> String {
    guard let port = world.fixture.service.objects.location.host.split(separator: ":").last,
      let parts = URL(string: url), let given = parts.port
    else { throw TestSupportError("no port") }
    return url.replacing(":\(given)/", with: ":\(port)/")
  }
}

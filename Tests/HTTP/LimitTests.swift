import AsyncHTTPClient
import Foundation
import HTTP
import Observability
import TestSupport
import Testing

@Suite(.serialized) struct LimitTests {
  private static let small = HTTPServerConfiguration(maximumBodyBytes: 1000, maximumHeaderBytes: 4096)

  @Test func refusesAGiantHead() async throws {
    try await withServer(Self.small) { server in
      for bytes in [5000, 15_000, 30_000, 200_000] {
        let field = String(repeating: "x", count: bytes)
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: \(field)\r\n\r\n"
        let text = (try? await exchange(port: server.port, head)) ?? "HTTP/1.1 431 (reset)"
        #expect(text.hasPrefix("HTTP/1.1 431 ") || text.hasPrefix("HTTP/1.1 413 "), "\(bytes): \(text)")
        let line = "GET /\(field) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        let other = (try? await exchange(port: server.port, line)) ?? "HTTP/1.1 414 (reset)"
        #expect(other.hasPrefix("HTTP/1.1 414 ") || other.hasPrefix("HTTP/1.1 431 "), "\(bytes): \(other)")
      }
      let fits = String(repeating: "x", count: 3800)
      let text = try await exchange(
        port: server.port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: \(fits)\r\n\r\n")
      #expect(text.hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test func refusesAGiantBodyByItsLengthAtOnce() async throws {
    try await withServer(Self.small) { server in
      let text = try await exchange(
        port: server.port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
      #expect(text.hasPrefix("HTTP/1.1 413 "))
      let waits = try await exchange(
        port: server.port,
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
      #expect(waits.hasPrefix("HTTP/1.1 413 "))
      let beyond = try await exchange(
        port: server.port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n")
      #expect(beyond.hasPrefix("HTTP/1.1 413 "))
    }
  }

  /// A client that sends its body without looking gets to read the answer, and may go on.
  @Test(arguments: [false, true]) func refusesALargeBodyAndKeepsTheConnection(isChunked: Bool) async throws {
    try await withServer(Self.small) { server in
      let body = String(repeating: "y", count: 3_000_000)
      let text = try await blocking {
        let socket = try RawSocket(port: server.port)
        let head = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(body.utf8.count)"
        let framed = isChunked ? "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n" : body
        try socket.send("POST / HTTP/1.1\r\nHost: x\r\n\(head)\r\n\r\n\(framed)")
        try socket.send("GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return try socket.receiveToEnd()
      }
      #expect(text.hasPrefix("HTTP/1.1 413 "))
      #expect(text.contains("path [\"next\"]"))
    }
  }

  @Test func takesABodyOfJustTheLimit() async throws {
    try await withServer(Self.small) { server in
      for (bytes, status) in [(1000, 200), (1001, 413)] {
        for head in ["Content-Length: \(bytes)", "Transfer-Encoding: chunked"] {
          let body = String(repeating: "z", count: bytes)
          let framed = head.hasPrefix("T") ? "\(String(bytes, radix: 16))\r\n\(body)\r\n0\r\n\r\n" : body
          let text = try await exchange(
            port: server.port, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(head)\r\n\r\n\(framed)")
          #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(bytes) \(head)")
        }
      }
    }
  }

  @Test func serves200ConnectionsAtOnce() async throws {
    let gate = Gate()
    try await withServer { request in
      await gate.pass()
      return await echo(request)
    } _: { server in
      let sockets = try await blocking {
        try (0..<200).map { index in
          let socket = try RawSocket(port: server.port)
          try socket.send("GET /\(index) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
          return socket
        }
      }
      try await eventually("all are in the handler") { server.requestsInFlight == 200 }
      await gate.open()
      let answers = try await blocking { try sockets.map { try $0.receiveToEnd() } }
      for (index, answer) in answers.enumerated() { #expect(answer.contains("path [\"\(index)\"]")) }
    }
  }

  @Test func connectionsBeyondTheLimitWait() async throws {
    try await withServer(HTTPServerConfiguration(connectionLimit: 4)) { server in
      let idle = try await blocking {
        try (0..<4).map { _ in
          let socket = try RawSocket(port: server.port)
          try socket.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
          _ = try socket.receive(until: "from 127.0.0.1\n")
          return socket
        }
      }
      let late = Task {
        try await exchange(port: server.port, "GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      }
      try await Task.sleep(for: .milliseconds(100))
      for socket in idle { socket.endSending() }
      #expect(try await late.value.contains("path [\"late\"]"))
    }
  }

  @Test func refusesRequestsBeyondTheLimit() async throws {
    let gate = Gate()
    try await withServer(HTTPServerConfiguration(maximumRequestsInFlight: 2)) { request in
      await gate.pass()
      return await echo(request)
    } _: { server in
      let first = [1, 2].map { _ in Task { try await curl("http://127.0.0.1:\(server.port)/") } }
      try await eventually("two are in") { server.requestsInFlight == 2 }
      #expect(try await curl("-i", "http://127.0.0.1:\(server.port)/").output.hasPrefix("HTTP/1.1 503"))
      await gate.open()
      for task in first { #expect(try await task.value.output.contains("method GET")) }
    }
  }

  @Test func closesConnectionsOnWhichNothingMoves() async throws {
    try await withServer(HTTPServerConfiguration(connectionTimeout: .seconds(1))) { server in
      let answer = try await exchange(port: server.port, "GET / HTTP/1.1\r\nHost")
      #expect(answer.isEmpty)
    }
  }

  @Test func doesNotGrow() async throws {
    let client = HTTPClient(logger: Logger(label: "c"))
    try await withServer { server in
      let url = "http://127.0.0.1:\(server.port)/some/path?with=query"
      let body = [UInt8](repeating: 0x61, count: 2000)
      func thousands(_ count: Int) async throws {
        for _ in 0..<(count * 10) {
          try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 { group.addTask { _ = try await client.execute(.post, url: url, body: body) } }
            try await group.waitForAll()
          }
        }
      }
      try await thousands(3)
      // Other tests of this process grow and shrink meanwhile: a leak grows in every round.
      var growths: [Int] = []
      for _ in 0..<4 where growths.allSatisfy({ $0 >= 5 << 20 }) {
        let before = try residentBytes()
        try await thousands(5)
        growths.append(try residentBytes() - before)
      }
      #expect(
        growths.contains { $0 < 5 << 20 },
        "grew by \(growths) bytes; a leak of one body a request would be 10 MB")
    }
    await client.shutdown()
  }
}

@Suite(.serialized) struct LargeBodyTests {
  private static let configuration = HTTPServerConfiguration(
    maximumBodyBytes: 1000,
    largeBodies: .init(paths: [["large"]], maximumBytes: 100_000, maximumBytesAtOnce: 150_000))

  private static func post(_ path: String, _ count: Int, isChunked: Bool = false) -> String {
    let body = String(repeating: "y", count: count)
    let head = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(count)"
    let framed = isChunked ? "\(String(count, radix: 16))\r\n\(body)\r\n0\r\n\r\n" : body
    return "POST /\(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(head)\r\n\r\n\(framed)"
  }

  @Test(arguments: [false, true]) func onlySomePathsTakeThem(isChunked: Bool) async throws {
    try await withServer(Self.configuration) { server in
      for (path, count, status) in [
        ("large", 90_000, 200), ("large", 100_001, 413), ("other", 1001, 413), ("large/x", 1001, 413),
        ("large", 10, 200),
      ] {
        let text = try await exchange(port: server.port, Self.post(path, count, isChunked: isChunked))
        #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(path) \(count): \(text.prefix(60))")
      }
    }
  }

  /// What they take of memory is bounded, and given back when they are answered.
  @Test func allOfThemTogetherHaveABound() async throws {
    let gate = Gate()
    let arrived = Counter()
    try await withServer(Self.configuration) { request in
      if request.path == ["large"], request.query["wait"] != nil {
        arrived.add(1)
        await gate.pass()
      }
      return .text("ok")
    } _: { server in
      async let held = exchange(port: server.port, Self.post("large?wait", 90_000))
      while arrived.value == 0 { try await Task.sleep(for: .milliseconds(5)) }
      #expect(try await exchange(port: server.port, Self.post("large", 90_000)).hasPrefix("HTTP/1.1 503 "))
      #expect(try await exchange(port: server.port, Self.post("large", 50_000)).hasPrefix("HTTP/1.1 200 "))
      #expect(try await exchange(port: server.port, Self.post("small", 900)).hasPrefix("HTTP/1.1 200 "))
      await gate.open()
      #expect(try await held.hasPrefix("HTTP/1.1 200 "))
      var text = ""
      repeat {
        text = try await exchange(port: server.port, Self.post("large", 90_000))
      } while text.hasPrefix("HTTP/1.1 503 ")
      #expect(text.hasPrefix("HTTP/1.1 200 "))
    }
  }
}

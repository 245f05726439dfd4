import Foundation
import HTTP
import Loop
import Observability
import TestSupport
import Testing
import Threads

/// Bodies that a handler reads while they come.
@Suite(.serialized) struct StreamedBodyTests {
  private static let configuration = HTTPServerConfiguration(
    maximumBodyBytes: 1000, streamedBodies: .init(prefix: ["objects"], maximumBytes: 256 << 20))

  /// Answers how long the body was, and the sum of its bytes.
  @Sendable private static func count(_ request: HTTPRequest) async -> HTTPResponse {
    guard let stream = request.stream else { return await echo(request) }
    do {
      var (length, sum) = (0, 0)
      while let bytes = try await stream.next() {
        length += bytes.count
        sum += bytes.reduce(0) { $0 &+ Int($1) }
      }
      return .text("\(length) \(sum)")
    } catch { return .text("\(error)", status: 400) }
  }

  private func put(_ body: String, framed: String? = nil, path: String = "/objects/a") -> String {
    let framing = framed ?? "Content-Length: \(body.utf8.count)"
    return "PUT \(path) HTTP/1.1\r\nHost: x\r\n\(framing)\r\n\r\n\(body)"
  }

  @Test("bodies of any length come whole, one after the other on one connection")
  func whole() async throws {
    try await withServer(Self.configuration, handler: Self.count) { server in
      for length in [0, 1, 999, 40_000, 262_144, 3_000_000] {
        let body = String(repeating: "a", count: length)
        let requests = put(body) + put(body) + "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        let text = try await exchange(port: server.port, requests)
        #expect(
          text.components(separatedBy: "\r\n\r\n\(length) \(length * 97)").count == 3,
          "\(length): \(text.prefix(300))")
        #expect(text.contains(#"path ["next"]"#))
      }
      let chunked = "5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n"
      let text = try await exchange(
        port: server.port, put(chunked, framed: "Transfer-Encoding: chunked\r\nConnection: close"))
      #expect(text.contains("\r\n\r\n9 "))
      let waits = try await curl(
        "-T", "/proc/self/exe", "-H", "Expect: 100-continue", "http://127.0.0.1:\(server.port)/objects/x")
      #expect(waits.status == 0, "\(waits.output)")
    }
  }

  @Test("elsewhere bodies are as they were: bounded, and whole when the handler begins")
  func elsewhere() async throws {
    try await withServer(Self.configuration, handler: Self.count) { server in
      let close = "Connection: close\r\nContent-Length: "
      #expect(
        try await exchange(port: server.port, put("abc", framed: close + "3", path: "/other")).contains(
          "body 3 abc"))
      let long = String(repeating: "a", count: 2000)
      let text = try await exchange(port: server.port, put(long, framed: close + "2000", path: "/other"))
      #expect(text.hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test("a client that is faster than the handler waits: little is kept")
  func slowReader() async throws {
    let gate = Gate()
    let length = 24 << 20
    let handler: @Sendable (HTTPRequest) async -> HTTPResponse = { request in
      await gate.pass()
      return await Self.count(request)
    }
    try await withServer(Self.configuration, handler: handler) { server in
      let sent = Counter()
      let before = try residentBytes()
      let answer = Task {
        try await blocking {
          let socket = try RawSocket(port: server.port)
          try socket.send(
            "PUT /objects/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(length)\r\n\r\n")
          let piece = [UInt8](repeating: 1, count: 1 << 20)
          for _ in 0..<(length >> 20) {
            try socket.send(piece)
            sent.add(piece.count)
          }
          return try socket.receiveToEnd()
        }
      }
      var last = -1
      try await eventually("it waits") {
        defer { last = sent.value }
        return sent.value > 0 && sent.value == last
      }
      #expect(sent.value < 12 << 20)
      #expect(try residentBytes() - before < 16 << 20)
      await gate.open()
      #expect(try await answer.value.hasSuffix("\r\n\r\n\(length) \(length)"))
    }
  }

  @Test("an answer before the body's end is heard, and the connection goes on")
  func earlyAnswer() async throws {
    let handler: @Sendable (HTTPRequest) async -> HTTPResponse = { request in
      if request.path.last == "half" { _ = try? await request.stream?.next() }
      return request.stream == nil ? await echo(request) : .text("no\n", status: 403)
    }
    try await withServer(Self.configuration, handler: handler) { server in
      for path in ["/objects/none", "/objects/half"] {
        let body = String(repeating: "a", count: 5_000_000)
        let text = try await exchange(
          port: server.port,
          put(body, path: path) + "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 403 "))
        #expect(text.contains(#"path ["next"]"#))
      }
    }
  }

  @Test(
    "a client that goes in the middle is told of as a fault, never as an end",
    arguments: [0, 10, 100_000, 2_000_000])
  func gone(length: Int) async throws {
    let ends = Locked<[String]>([])
    let handler: @Sendable (HTTPRequest) async -> HTTPResponse = { request in
      let answer = await Self.count(request)
      ends.withLock { $0.append("\(answer.status)") }
      return answer
    }
    // The library does not see an end that comes in one with the last bytes: its time-out does.
    var configuration = Self.configuration
    configuration.connectionTimeout = .seconds(1)
    try await withServer(configuration, handler: handler) { server in
      for _ in 0..<4 {
        try await blocking {
          let socket = try RawSocket(port: server.port)
          try socket.send("PUT /objects/a HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
          try socket.send([UInt8](repeating: 1, count: length))
        }
      }
      try await eventually("all have ended") { ends.withLock { $0.count } == 4 }
      #expect(ends.withLock { $0 } == ["400", "400", "400", "400"])
      try await eventually("nothing is left") { server.requestsInFlight == 0 }
    }
  }

  @Test("a shutdown breaks what does not come to its end", arguments: [false, true])
  func shutdown(isRead: Bool) async throws {
    let gate = Gate()
    let handler: @Sendable (HTTPRequest) async -> HTTPResponse = { request in
      if !isRead { await gate.pass() }
      return await Self.count(request)
    }
    var configuration = Self.configuration
    configuration.drainTimeout = .milliseconds(100)
    let server = HTTPServer(
      configuration: configuration, loop: .start("http-test"), logger: Logger(label: "s", level: .critical),
      handler: handler)
    try server.start()
    let socket = try RawSocket(port: server.port)
    try socket.send("PUT /objects/a HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n")
    try socket.send([UInt8](repeating: 1, count: 300_000))
    try await eventually("it has arrived") { server.requestsInFlight == 1 }
    await server.shutdown()
    await gate.open()
  }

  @Test("a stream whose length is known says so, and breaks when it is shorter")
  func knownLength() async throws {
    let handler: @Sendable (HTTPRequest) async -> HTTPResponse = { request in
      .stream([:], isEndless: false, length: 200_000) { writer in
        let count = request.path == ["short"] ? 1 : 2
        for _ in 0..<count { try await writer.write([UInt8](repeating: 97, count: 100_000)) }
      }
    }
    try await withServer(handler: handler) { server in
      let head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      let whole = try await exchange(port: server.port, "GET / \(head)")
      #expect(whole.contains("Content-Length: 200000\r\n"))
      #expect(whole.components(separatedBy: "\r\n\r\n").last?.utf8.count == 200_000)
      let short = try? await exchange(port: server.port, "GET /short \(head)")
      #expect((short ?? "").utf8.count < 200_000)
      let asked = try await exchange(port: server.port, "HEAD / \(head)")
      #expect(asked.contains("Content-Length: 200000\r\n"))
    }
  }
}

import AsyncHTTPClient
import Foundation
import HTTP
import Observability
import TestSupport
import Testing
import Threads

@Suite struct ClientTests {
  private let client = HTTPClient(logger: Logger(label: "client", level: .critical))

  @Test func asksAndAnswers() async throws {
    try await withServer { request in
      var response = await echo(request)
      response.status = 201
      response.headers["X-Seen"] = request.headers["X-Sent"]
      response.headers["X-Type"] = request.headers["Content-Type"] ?? "none"
      response.headers["X-Agent"] = request.headers["Expect"] ?? "none"
      return response
    } _: { server in
      let url = "http://127.0.0.1:\(server.port)/a%2Fb?x=1"
      for method in [HTTPMethod.get, .post, .put, .patch, .delete, .options, .other("PURGE")] {
        for body in [nil, [], Array("hello".utf8)] as [[UInt8]?] {
          let answer = try await client.execute(method, url: url, headers: ["X-Sent": "here"], body: body)
          #expect(answer.status == 201)
          #expect(answer.headers["x-seen"] == "here")
          #expect(answer.headers["X-Type"] == "none")
          let text = String(decoding: answer.body, as: UTF8.self)
          #expect(text.contains("method \(method)\npath [\"a/b\"]\nquery [\"x=1\"]\n"))
          #expect(text.contains("body \(body?.count ?? 0) \(body?.isEmpty == false ? "hello" : "")"))
        }
      }
      let head = try await client.execute(.head, url: url)
      #expect(head.body.isEmpty)
      #expect(head.headers["Content-Length"] != nil)
      let large = try await client.execute(.put, url: url, body: [UInt8](repeating: 0x62, count: 1 << 20))
      #expect(String(decoding: large.body, as: UTF8.self).contains("body 1048576 bbb"))
      #expect(large.headers["X-Agent"] == "none")
    }
  }

  @Test func usesItsConnectionsAgain() async throws {
    let ports = Locked<Set<String>>([])
    let server = try CountingListener()
    defer { server.close() }
    for _ in 0..<50 {
      let answer = try await client.execute(.get, url: "http://127.0.0.1:\(server.port)/")
      ports.withLock { _ = $0.insert(String(decoding: answer.body, as: UTF8.self)) }
    }
    #expect(ports.withLock { $0 } == ["1"])
  }

  @Test func keepsToItsConnectionsAndDoesManyAtATime() async throws {
    let most = Locked((now: 0, most: 0))
    let client = HTTPClient(configuration: .init(maximumConnections: 8), logger: Logger(label: "c"))
    try await withServer { request in
      most.withLock { ($0.now, $0.most) = ($0.now + 1, max($0.most, $0.now + 1)) }
      try? await Task.sleep(for: .milliseconds(5))
      most.withLock { $0.now -= 1 }
      return await echo(request)
    } _: { server in
      try await withThrowingTaskGroup(of: Int.self) { group in
        for index in 0..<200 {
          group.addTask {
            try await client.execute(.get, url: "http://127.0.0.1:\(server.port)/\(index)").status
          }
        }
        for try await status in group { #expect(status == 200) }
      }
    }
    #expect(most.withLock { $0.most } == 8)
    await client.shutdown()
  }

  @Test func tellsWhatWentWrong() async throws {
    let closed = try freePort()
    await #expect(throws: HTTPClientError.cannotConnect("Couldn't connect to server")) {
      try await client.execute(.get, url: "http://127.0.0.1:\(closed)/")
    }
    for url in ["", "http://", "file:///etc/passwd", "ftp://x/"] {
      await #expect(throws: HTTPClientError.invalidURL, "\(url)") { try await client.execute(.get, url: url) }
    }
    await #expect(throws: HTTPClientError.invalidRequest) {
      try await client.execute(.get, url: "http://127.0.0.1:\(closed)/", headers: ["X": "a\r\nY: b"])
    }
    await #expect(throws: HTTPClientError.invalidRequest) {
      try await client.execute(.other("GET / HTTP/1.1\r\nX:"), url: "http://127.0.0.1:\(closed)/")
    }
  }

  @Test func givesUpInTime() async throws {
    let gate = Gate()
    try await withServer { request in
      await gate.pass()
      return await echo(request)
    } _: { server in
      let url = "http://127.0.0.1:\(server.port)/"
      await #expect(throws: HTTPClientError.timeout) {
        try await client.execute(.get, url: url, timeout: .milliseconds(100))
      }
      await gate.open()
      let last = try await client.execute(.get, url: url)
      #expect(last.status == 200)
    }
  }

  @Test func refusesAnEndlessAnswer() async throws {
    let small = HTTPClient(configuration: .init(maximumResponseBytes: 100_000), logger: Logger(label: "c"))
    try await withServer { _ in
      .stream([:]) { writer in while true { try await writer.write([UInt8](repeating: 1, count: 10_000)) } }
    } _: { server in
      await #expect(throws: HTTPClientError.responseTooLarge) {
        try await small.execute(.get, url: "http://127.0.0.1:\(server.port)/")
      }
      try await eventually("the stream ended") { server.requestsInFlight == 0 }
    }
  }

  @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
  func noticesAServerThatDies(answer: String) async throws {
    let server = try CountingListener(answer: answer)
    defer { server.close() }
    do {
      _ = try await client.execute(.get, url: "http://127.0.0.1:\(server.port)/")
      Issue.record("there was an answer")
    } catch HTTPClientError.connectionLost {}
  }

  /// Cancelled before it began, while it waits for a connection, and while it waits for the answer.
  @Test func canBeCancelledAnywhere() async throws {
    let gate = Gate()
    let one = HTTPClient(configuration: .init(maximumConnections: 1), logger: Logger(label: "c"))
    try await withServer { request in
      if request.path == ["wait"] { await gate.pass() }
      return await echo(request)
    } _: { server in
      let url = "http://127.0.0.1:\(server.port)/wait"
      for delay in [0, 0, 1, 2, 5, 20, 50] {
        let first = Task { try await one.execute(.get, url: url) }
        let second = Task { try await one.execute(.get, url: url) }
        if delay > 0 { try await Task.sleep(for: .milliseconds(delay)) }
        second.cancel()
        first.cancel()
        for task in [first, second] {
          await #expect(throws: CancellationError.self) { try await task.value }
        }
      }
      let last = try await one.execute(.get, url: "http://127.0.0.1:\(server.port)/")
      #expect(last.status == 200)
      await gate.open()
    }
    await one.shutdown()
  }

  @Test func shutdownEndsWhatIsUnderWay() async throws {
    let gate = Gate()
    try await withServer { request in
      await gate.pass()
      return await echo(request)
    } _: { server in
      let mine = HTTPClient(logger: Logger(label: "c"))
      let url = "http://127.0.0.1:\(server.port)/"
      let task = Task { try await mine.execute(.get, url: url) }
      try await eventually("it arrived") { server.requestsInFlight == 1 }
      await mine.shutdown()
      await #expect(throws: HTTPClientError.clientShutDown) { try await task.value }
      await #expect(throws: HTTPClientError.clientShutDown) { try await mine.execute(.get, url: url) }
      await mine.shutdown()
      await gate.open()
    }
  }
}

import AsyncHTTPClient
import Foundation
import HTTP
import Loop
import Observability
import TestSupport
import Testing
import Threads

@Suite struct ShutdownTests {
  private let client = HTTPClient(logger: Logger(label: "c", level: .critical))

  @Test func answersAllThatAreInFlight() async throws {
    let gate = Gate()
    let server = HTTPServer(configuration: .init(), loop: .start("http-test"), logger: Logger(label: "s")) {
      request in
      await gate.pass()
      return await echo(request)
    }
    try server.start()
    let url = "http://127.0.0.1:\(server.port)/"
    let tasks = (0..<50).map { _ in Task { [client] in try await client.execute(.post, url: url, body: [1]) }
    }
    try await eventually("all have arrived") { server.requestsInFlight == 50 }
    let stopped = Task { await server.shutdown() }
    try await eventually("new connections are refused") {
      do { _ = try RawSocket(port: server.port) } catch { return true }
      return false
    }
    await gate.open()
    for task in tasks {
      let answer = try await task.value
      #expect(answer.status == 200)
      #expect(answer.headers["Connection"] == "close")
    }
    await stopped.value
    #expect(server.requestsInFlight == 0)
    await server.shutdown()
  }

  @Test func endsEndlessStreamsAndWaitsForTheOthers() async throws {
    let server = HTTPServer(configuration: .init(), loop: .start("http-test"), logger: Logger(label: "s")) {
      request in
      .stream([:], isEndless: request.path == ["events"]) { writer in
        try await writer.write("start\n")
        if request.path == ["events"] {
          try await Task.sleep(for: .seconds(1000))
        } else {
          for _ in 0..<20 {
            try await Task.sleep(for: .milliseconds(10))
            try await writer.write("more\n")
          }
          try await writer.write("whole\n")
        }
      }
    }
    try server.start()
    let url = "http://127.0.0.1:\(server.port)"
    let endless = Task { try await curl("\(url)/events") }
    let finite = Task { try await curl("\(url)/export") }
    try await eventually("both are open") { server.requestsInFlight == 2 }
    try await Task.sleep(for: .milliseconds(50))
    await server.shutdown()
    let (events, export) = try await (endless.value, finite.value)
    #expect(events.status == 0)
    #expect(events.output == "start\n")
    #expect(export.output.hasSuffix("whole\n"))
  }

  /// Handlers and a stream that never end: 503, a broken stream, and an end in bounded time.
  @Test func doesNotWaitForEver() async throws {
    let gate = Gate()
    let configuration = HTTPServerConfiguration(drainTimeout: .milliseconds(200))
    let server = HTTPServer(
      configuration: configuration, loop: .start("http-test"), logger: Logger(label: "s", level: .critical)
    ) {
      request in
      if request.path == ["stream"] {
        return .stream([:], isEndless: false) { writer in
          try await writer.write("start\n")
          await gate.pass()
        }
      }
      await gate.pass()
      return await echo(request)
    }
    try server.start()
    let url = "http://127.0.0.1:\(server.port)"
    let tasks = (0..<20).map { _ in Task { [client] in try await client.execute(.get, url: "\(url)/") } }
    let stream = Task { try await curl("\(url)/stream") }
    try await eventually("all are in") { server.requestsInFlight == 21 }
    let took = await ContinuousClock().measure { await server.shutdown() }
    #expect(took < .seconds(5))
    for task in tasks { #expect(try await task.value.status == 503) }
    #expect(try await stream.value.status == 18)
    // The handlers come to their end now; their answers have nobody to go to.
    await gate.open()
    try await Task.sleep(for: .milliseconds(50))
  }

  @Test func isNotHeldUpByACancelledCaller() async throws {
    let server = HTTPServer(configuration: .init(), loop: .start("http-test"), logger: Logger(label: "s")) {
      request in
      try? await Task.sleep(for: .milliseconds(300))
      return await echo(request)
    }
    try server.start()
    let request = Task { [client] in try await client.execute(.get, url: "http://127.0.0.1:\(server.port)/") }
    try await eventually("it is in") { server.requestsInFlight == 1 }
    let caller = Task { await server.shutdown() }
    caller.cancel()
    await caller.value
    #expect(try await request.value.status == 200)
  }

  @Test func manyTimesUnderLoad() async throws {
    for _ in 0..<20 {
      let answered = Counter()
      let server = HTTPServer(
        configuration: .init(), loop: .start("http-test"), logger: Logger(label: "s"), handler: echo)
      try server.start()
      let url = "http://127.0.0.1:\(server.port)/"
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<16 {
          group.addTask { [client] in
            while let answer = try? await client.execute(.get, url: url) {
              #expect(answer.status == 200 || answer.status == 503)
              answered.add()
            }
          }
        }
        group.addTask {
          try? await eventually("some load") { answered.value > 100 }
          await server.shutdown()
        }
      }
      #expect(answered.value > 100)
    }
  }

  /// The client goes away in the middle of a handler: the handler is not cancelled, and its answer goes nowhere.
  @Test func aHandlerOutlivesItsClient() async throws {
    let gate = Gate()
    let ended = Locked<Bool?>(nil)
    try await withServer { request in
      await gate.pass()
      ended.withLock { $0 = Task.isCancelled }
      return await echo(request)
    } _: { server in
      let socket = Locked<RawSocket?>(try RawSocket(port: server.port))
      try await blocking {
        try socket.withLock { $0 }?.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
      }
      try await eventually("it is in") { server.requestsInFlight == 1 }
      socket.withLock { $0 = nil }
      try await Task.sleep(for: .milliseconds(50))
      await gate.open()
      try await eventually("the exchange is over") { server.requestsInFlight == 0 }
    }
    #expect(ended.withLock { $0 } == false)
  }
}

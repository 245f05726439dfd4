import Foundation
import HTTP
import Observability
import TestSupport
import Testing
import Threads

@Suite struct StreamTests {
  @Test func sendsEverythingInOrder() async throws {
    try await withServer { _ in
      .stream(["Content-Type": "text/plain"]) { writer in
        for index in 0..<20_000 { try await writer.write("line \(index)\n") }
      }
    } _: { server in
      let answer = try await curl("http://127.0.0.1:\(server.port)/")
      #expect(answer.output == (0..<20_000).map { "line \($0)\n" }.joined())
      let old = try await exchange(port: server.port, "GET / HTTP/1.0\r\n\r\n")
      #expect(old.hasSuffix("line 19999\n"), "an HTTP/1.0 client gets it without chunks")
      #expect(old.contains("\r\n\r\nline 0\nline 1\n"))
    }
  }

  @Test func sendsEachPieceAtOnce() async throws {
    let gates = [Gate(), Gate()]
    try await withServer { _ in
      .stream([:]) { writer in
        try await writer.write("first\n")
        await gates[0].pass()
        try await writer.write([])
        try await writer.write("second\n")
        await gates[1].pass()
      }
    } _: { server in
      let socket = try RawSocket(port: server.port)
      _ = try await blocking {
        try socket.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return try socket.receive(until: "first\n")
      }
      await gates[0].open()
      _ = try await blocking { try socket.receive(until: "second\n") }
      await gates[1].open()
      _ = try await blocking { try socket.receive(until: "0\r\n\r\n") }
    }
  }

  @Test func aThrownErrorBreaksTheConnection() async throws {
    struct Fault: Error {}
    try await withServer { _ in
      .stream([:]) { writer in
        try await writer.write("half")
        throw Fault()
      }
    } _: { server in
      let answer = try await curl("http://127.0.0.1:\(server.port)/")
      #expect(answer.status == 18, "curl calls it a partial file: \(answer)")
    }
  }

  /// Noticed at the next heartbeat, and a producer that waits for something else is cancelled.
  @Test(arguments: [true, false]) func noticesThatTheClientHasGone(isAbrupt: Bool) async throws {
    let ended = Locked<[String]>([])
    try await withServer { request in
      .stream([:]) { writer in
        do {
          try await writer.write("start\n")
          while request.path != ["silent"] {
            try await Task.sleep(for: .milliseconds(20))
            try await writer.write(": beat\n")
          }
          try await writer.write("start\n")
          try await Task.sleep(for: .seconds(1000))
        } catch {
          ended.withLock { $0.append("\(error)") }
          throw error
        }
      }
    } _: { server in
      try await blocking {
        let socket = try RawSocket(port: server.port)
        try socket.send("GET /beats HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try socket.receive(until: "start\n")
        if isAbrupt {
          var hard = linger(l_onoff: 1, l_linger: 0)
          setsockopt(socket.descriptor, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        }
      }
      try await eventually("the producer ended", within: 5) {
        server.requestsInFlight == 0 && ended.withLock { $0.count } == 1
      }
    }
  }

  /// The client takes nothing: the producer stands still, with a bounded buffer.
  @Test func waitsForASlowReader() async throws {
    let written = Counter()
    try await withServer { _ in
      .stream([:]) { writer in
        for _ in 0..<1000 {
          try await writer.write([UInt8](repeating: 0x61, count: 100_000))
          written.add()
        }
      }
    } _: { server in
      let socket = try RawSocket(port: server.port, receiveBuffer: 16384)
      try await blocking { try socket.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }
      var before = -1
      try await eventually("the producer stands still") {
        defer { before = written.value }
        try await Task.sleep(for: .milliseconds(200))
        return written.value == before
      }
      #expect(written.value < 100, "of 1000 pieces; the rest is in the kernel's buffers")
      let bytes = try await blocking {
        var count = 0
        while case let piece = try socket.receive(), !piece.isEmpty { count += piece.count }
        return count
      }
      #expect(written.value == 1000)
      #expect(bytes > 100_000_000)
    }
  }

  @Test func aHeadRequestRunsNoProducer() async throws {
    let runs = Counter()
    try await withServer { _ in
      .stream([:]) { _ in runs.add() }
    } _: { server in
      let answer = try await curl("-I", "http://127.0.0.1:\(server.port)/")
      #expect(answer.output.hasPrefix("HTTP/1.1 200"))
    }
    #expect(runs.value == 0)
  }

  @Test func aCancelledWriteThrows() async throws {
    let result = Locked<String?>(nil)
    try await withServer { _ in
      .stream([:]) { writer in
        let task = Task {
          while true { try await writer.write([UInt8](repeating: 0, count: 100_000)) }
        }
        try await Task.sleep(for: .milliseconds(300))
        task.cancel()
        do { try await task.value } catch { result.withLock { $0 = "\(type(of: error))" } }
      }
    } _: { server in
      let socket = try RawSocket(port: server.port, receiveBuffer: 16384)
      try await blocking { try socket.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
      try await eventually("it was cancelled") { result.withLock { $0 } == "CancellationError" }
    }
  }
}

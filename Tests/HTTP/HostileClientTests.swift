import Foundation
import HTTP
import Observability
import TestSupport
import Testing

/// Bytes that no well-meaning client sends, on a plain socket.
@Suite struct HostileClientTests {
  /// Sends the head with `Connection: close` and gives the answer.
  private func answer(_ server: HTTPServer, _ firstLine: String, _ fields: [String] = [], _ body: String = "")
    async throws -> String
  {
    let head = [firstLine, "Host: x", "Connection: close"] + fields
    return try await exchange(port: server.port, head.joined(separator: "\r\n") + "\r\n\r\n" + body)
  }

  @Test(arguments: [
    ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Content-Length: 5", "Content-Length: 5"], ["Content-Length: 5", "content-length: 6"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], ["Content-Length: 0", "Content-Length: 5"],
    ["Content-Length: 5x"], ["Content-Length: -5"], ["Content-Length: +5"], ["Content-Length: 5, 5"],
    ["Content-Length:"], ["Content-Length: 0x5"], ["Content-Length : 5"], ["Transfer-Encoding : chunked"],
    ["X Y: 1"], ["nothing"], ["Host: again"],
  ])
  func refusesTwoMeanings(fields: [String]) async throws {
    try await withServer { server in
      let body = fields.contains { $0.hasPrefix("Transfer-Encoding:") } ? "0\r\n\r\n" : "hello"
      let text = try await answer(server, "POST / HTTP/1.1", fields, body)
      #expect(text.hasPrefix("HTTP/1.1 400 "), "\(text)")
      // Some of these libmicrohttpd refuses itself, and 0.9.75 writes the head of that answer twice. The second comes
      // where the body belongs, on a connection that is then closed: ugly, but nothing follows from it.
      let heads = text.components(separatedBy: "HTTP/1.1 400").count - 1
      #expect(heads == 1 || heads == 2 && text.contains("wrong value for <b>Content-Length</b>"), "\(text)")
      #expect(!text.contains(" 200 "))
    }
  }

  /// What follows a refused body must not be taken for a request, also without `Connection: close`.
  @Test func nothingIsSmuggled() async throws {
    let seen = Counter()
    try await withServer { request in
      seen.add()
      return await echo(request)
    } _: { server in
      for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 0\r\nContent-Length: 44",
        "Transfer-Encoding: gzip", "Transfer-Encoding: chunked, gzip",
      ] {
        let text = try await exchange(
          port: server.port,
          "POST / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 400 ") || text.hasPrefix("HTTP/1.1 501 "), "\(text)")
        #expect(!text.contains("smuggled"))
      }
    }
    #expect(seen.value == 0)
  }

  @Test(arguments: [
    "/%", "/%zz", "/a%00b", "/%C3%28", "/?q=%", "/?q=%00", "/?q=%FF", "relative", "/\u{1}",
  ])
  func refusesBadTargets(target: String) async throws {
    try await withServer { server in
      let text = try await answer(server, "GET \(target) HTTP/1.1")
      #expect(text.hasPrefix("HTTP/1.1 400 "))
    }
  }

  @Test func refusesRawBytesThatAreNotUTF8() async throws {
    try await withServer { server in
      let bytes =
        Array("GET /".utf8) + [0xC3, 0x28] + Array(" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8)
      let text = try await exchange(port: server.port, bytes)
      #expect(text.hasPrefix("HTTP/1.1 400 "))
    }
  }

  @Test func takesTheAbsoluteFormAndTheAsterisk() async throws {
    try await withServer { server in
      let absolute = try await answer(server, "GET http://elsewhere:1/a%2Fb?x=y HTTP/1.1")
      #expect(absolute.contains("path [\"a/b\"]\nquery [\"x=y\"]"))
      let asterisk = try await answer(server, "OPTIONS * HTTP/1.1")
      #expect(asterisk.contains("path [\"*\"]"))
      let authority = try await answer(server, "CONNECT host:443 HTTP/1.1")
      #expect(authority.hasPrefix("HTTP/1.1 400 "))
    }
  }

  @Test(arguments: [
    "GARBAGE\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
    "\u{16}\u{3}\u{1}\r\n\r\n",
  ])
  func survivesWhatIsNotHTTP(text: String) async throws {
    try await withServer { server in
      let answer = (try? await exchange(port: server.port, text)) ?? ""
      #expect(!answer.contains(" 200 "))
      let fine = try await self.answer(server, "GET /fine HTTP/1.1")
      #expect(fine.contains("path [\"fine\"]"))
    }
  }

  @Test func takesARequestByteByByte() async throws {
    try await withServer { server in
      let text = try await blocking {
        let socket = try RawSocket(port: server.port)
        for byte in "POST /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
          .utf8
        {
          try socket.send([byte])
          usleep(300)
        }
        return try socket.receiveToEnd()
      }
      #expect(text.contains("path [\"slow\"]"))
      #expect(text.contains("body 5 hello"))
    }
  }

  @Test func forgetsHalfRequests() async throws {
    try await withServer { server in
      try await blocking {
        for text in [
          "GET", "GET / HTTP/1.1\r\nHost", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        ] {
          for _ in 0..<20 { try RawSocket(port: server.port).send(text) }
        }
      }
      let text = try await answer(server, "GET / HTTP/1.1")
      #expect(text.hasPrefix("HTTP/1.1 200 "))
      #expect(server.requestsInFlight == 0)
    }
  }

  @Test func answersPipelinedRequestsInOrder() async throws {
    try await withServer { request in
      if request.path == ["0"] { try? await Task.sleep(for: .milliseconds(50)) }
      return .text("<\(request.path.first ?? "") \(request.body.count)>\n")
    } _: { server in
      let count = 50
      let text = (0..<count).map { index in
        let last = index == count - 1 ? "Connection: close\r\n" : ""
        return "POST /\(index) HTTP/1.1\r\nHost: x\r\n\(last)Content-Length: \(index)\r\n\r\n"
          + String(repeating: "x", count: index)
      }.joined()
      let answer = try await exchange(port: server.port, text)
      let found = answer.components(separatedBy: "\r\n\r\n").dropFirst().map {
        $0.components(separatedBy: "\n")[0]
      }
      #expect(found == (0..<count).map { "<\($0) \($0)>" })
    }
  }
}

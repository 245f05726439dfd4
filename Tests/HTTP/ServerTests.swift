import Foundation
import HTTP
import Loop
import Observability
import TestSupport
import Testing

@Suite struct ServerTests {
  @Test func answersCurl() async throws {
    try await withServer { server in
      let url = "http://127.0.0.1:\(server.port)"
      let get = try await curl("-i", "\(url)/a/b%2Fc?x=1&y=two+words&x=%C3%A9")
      #expect(get.output.contains("HTTP/1.1 200 OK"))
      #expect(get.output.contains(#"path ["a", "b/c"]"#))
      #expect(get.output.contains(#"query ["x=1", "y=two words", "x=é"]"#))
      #expect(get.output.contains("from 127.0.0.1"))
      #expect(get.output.contains("\nDate: "))
      let post = try await curl("-d", "hello", "\(url)/")
      #expect(post.output.contains("method POST\npath []\n"))
      #expect(post.output.contains("body 5 hello"))
      let head = try await curl("-I", "\(url)/a")
      #expect(head.output.contains("Content-Length: "))
      #expect(!head.output.contains("method"))
      let other = try await curl("-X", "PROPFIND", "\(url)/a")
      #expect(other.output.contains("method PROPFIND"))
    }
  }

  @Test func takesAWholeBodyAndWaitsForContinue() async throws {
    try await withServer { server in
      let file = try RunFolder.make("http").appending(path: "body")
      try Data(repeating: 0x61, count: 1 << 20).write(to: file)
      let url = "http://127.0.0.1:\(server.port)/"
      for more in [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]] {
        let answer = try await blocking {
          let process = Process()
          process.executableURL = URL(filePath: "/usr/bin/curl")
          process.arguments = ["-sv", "--data-binary", "@\(file.path)", url] + more
          let pipe = Pipe()
          (process.standardOutput, process.standardError) = (pipe, pipe)
          try process.run()
          return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        }
        #expect(answer.contains("body 1048576 aaa"), "\(more)")
        if more.last?.contains("Expect") == true { #expect(answer.contains("100 Continue")) }
      }
    }
  }

  @Test func tellsThatThePortIsTaken() async throws {
    try await withServer { first in
      let second = HTTPServer(
        configuration: HTTPServerConfiguration(port: first.port), loop: .start("http-test"),
        logger: Logger(label: "second"),
        handler: echo)
      #expect(throws: HTTPServerError.addressInUse(host: "127.0.0.1", port: first.port)) {
        try second.start()
      }
      #expect(HTTPServerError.addressInUse(host: "h", port: 80).description.contains("choose another port"))
      #expect(throws: HTTPServerError.alreadyStarted) { try first.start() }
    }
    let elsewhere = HTTPServer(
      configuration: HTTPServerConfiguration(host: "203.0.113.1"), loop: .start("http-test"),
      logger: Logger(label: "x"), handler: echo)
    #expect(throws: HTTPServerError.self) { try elsewhere.start() }
  }

  @Test func takesThePortOfItsPredecessorAtOnce() async throws {
    let port = try freePort()
    try await withServer(HTTPServerConfiguration(port: port)) { server in
      let answer = try await curl("http://127.0.0.1:\(server.port)/")
      #expect(answer.output.contains("method GET"))
    }
    try await withServer(HTTPServerConfiguration(port: port)) { server in
      let answer = try await curl("http://127.0.0.1:\(port)/")
      #expect(answer.output.contains("method GET"))
    }
  }

  @Test func refusesResponsesThatWouldSplit() async throws {
    let log = LogCapture()
    try await withServer(logger: Logger(label: "t", output: log)) { request in
      request.path == ["status"]
        ? HTTPResponse(status: 42)
        : HTTPResponse(headers: ["X-Name": "a\r\nSet-Cookie: b"], body: .bytes([1]))
    } _: { server in
      for path in ["", "status"] {
        let answer = try await curl("-i", "http://127.0.0.1:\(server.port)/\(path)")
        #expect(answer.output.hasPrefix("HTTP/1.1 500"))
        #expect(!answer.output.contains("Set-Cookie"))
      }
      #expect(log.lines.count == 2)
      #expect(log.lines[0].contains("X-Name"))
    }
  }

  @Test func statusesWithoutABodyHaveNone() async throws {
    try await withServer { request in
      HTTPResponse(status: Int(request.path.first ?? "") ?? 500, body: .bytes([0x61]))
    } _: { server in
      for status in [204, 304] {
        let answer = try await exchange(
          port: server.port, "GET /\(status) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        #expect(answer.hasSuffix("\r\n\r\n"))
      }
    }
  }
}

import Foundation
import TestSupport

/// A server of a few lines: answers each request with the number of connections so far, or writes `answer` once and
/// closes, as a server that dies.
final class CountingListener: Sendable {
  let port: Int
  private let descriptor: Int32

  init(answer: String? = nil) throws {
    port = try freePort()
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard code == 0, listen(descriptor, 16) == 0 else { throw TestSupportError("cannot listen") }
    let listening = descriptor
    Thread {
      var count = 0
      while true {
        let client = accept(listening, nil, nil)
        if client < 0 { return }
        count += 1
        let body = "\(count)"
        let text = answer ?? "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        Thread { Self.serve(client, text, once: answer != nil) }.start()
      }
    }.start()
  }

  func close() {
    shutdown(descriptor, Int32(SHUT_RDWR))
    Foundation.close(descriptor)
  }

  private static func serve(_ client: Int32, _ text: String, once: Bool) {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while recv(client, &buffer, buffer.count, 0) > 0 {
      _ = send(client, text, text.utf8.count, Int32(MSG_NOSIGNAL))
      if once { break }
    }
    Foundation.close(client)
  }
}

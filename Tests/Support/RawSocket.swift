import Foundation

/// A hostile client: a plain TCP socket that sends what it likes.
public final class RawSocket: Sendable {
  public let descriptor: Int32

  public init(port: Int, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var receiveBuffer { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, 4) }
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    // `deinit` closes it then, since nothing is missing from the instance; a second close could hit another's descriptor.
    guard code == 0 else { throw TestSupportError("connect: \(String(cString: strerror(errno)))") }
  }

  deinit { close(descriptor) }

  public func send(_ text: String) throws { try send(Array(text.utf8)) }

  public func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw TestSupportError("send: \(String(cString: strerror(errno)))") }
      sent += count
    }
  }

  public func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// What there is, at least one byte; empty at the end.
  public func receive(atMost limit: Int = 65536) throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: limit)
    let count = recv(descriptor, &buffer, limit, 0)
    guard count >= 0 else { throw TestSupportError("recv: \(String(cString: strerror(errno)))") }
    return Array(buffer[..<count])
  }

  public func receiveToEnd() throws -> String {
    var all: [UInt8] = []
    while true {
      let piece = try receive()
      if piece.isEmpty { return String(decoding: all, as: UTF8.self) }
      all += piece
    }
  }

  /// Reads until `text` has come so many times.
  public func receive(until text: String, times: Int = 1) throws -> String {
    var all = ""
    while all.components(separatedBy: text).count <= times {
      let piece = try receive()
      if piece.isEmpty { throw TestSupportError("closed before \(text): \(all)") }
      all += String(decoding: piece, as: UTF8.self)
    }
    return all
  }
}

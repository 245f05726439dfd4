import Glibc

/// Binds the socket itself instead of leaving it to libmicrohttpd, which tells no reason when it fails.
///
/// `SO_REUSEADDR` lets a restart take a port whose old connections still linger; on Linux it never lets two sockets
/// listen on one port (that would be `SO_REUSEPORT`).
struct ListeningSocket: Sendable {
  let descriptor: Int32
  let port: Int

  init(host: String, port: Int) throws(HTTPServerError) {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0, let first = list else {
      throw .cannotListen(host: host, port: port, reason: String(cString: gai_strerror(code)))
    }
    defer { freeaddrinfo(list) }
    let descriptor = socket(
      first.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0
    )
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0,
      listen(descriptor, 4096) == 0,
      let bound = Self.port(of: descriptor)
    else {
      let reason = errno
      close(descriptor)
      throw reason == EADDRINUSE
        ? .addressInUse(host: host, port: port)
        : .cannotListen(host: host, port: port, reason: String(cString: strerror(reason)))
    }
    self.descriptor = descriptor
    self.port = bound
  }

  /// New connections are refused from here on, and the port is free for a successor. The descriptor stays taken
  /// until `release`, since the server's thread may still hold its number.
  func refuseConnections() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  func release() { close(descriptor) }

  private static func port(of descriptor: Int32) -> Int? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &address) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> Int? in
        guard getsockname(descriptor, pointer, &length) == 0 else { return nil }
        // The port stands at the same place in sockaddr_in and sockaddr_in6.
        return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
          Int(UInt16(bigEndian: $0.pointee.sin_port))
        }
      }
    }
  }
}

/// An address in words: `127.0.0.1`, `::1`.
func addressText(_ address: UnsafePointer<sockaddr>?) -> String {
  guard let address else { return "" }
  return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
    let family = Int32(address.pointee.sa_family)
    let place = UnsafeRawPointer(address) + (family == AF_INET6 ? 8 : 4)
    guard let start = text.baseAddress, inet_ntop(family, place, start, socklen_t(text.count)) != nil else {
      return ""
    }
    return String(cString: start)
  }
}

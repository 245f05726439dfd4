import Glibc
import Loop

/// Turns host names into numeric addresses, on a helper thread: libpq would block while doing it.
enum HostResolver {
  /// True for what libpq takes as `hostaddr`.
  static func isNumeric(_ host: String) -> Bool {
    var room = in6_addr()
    return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1
  }

  /// The addresses of `host`, in the resolver's order.
  static func addresses(_ host: String, on loop: EventLoop, until deadline: ContinuousClock.Instant)
    async throws
    -> [String]
  {
    let addresses = Wait<[String]>()
    let done = Wait<WaitOutcome>()
    loop.task {
      addresses.resolve(await loop.blocking { lookUp(host) })
      done.resolve(.ready)
    }
    switch await done.outcome(on: loop, until: deadline) {
    case .cancelled: throw CancellationError()
    case .timedOut: throw PostgresError(.connection, "the host name was not looked up in time")
    case .ready:
      let found = await addresses.value()
      guard !found.isEmpty else { throw PostgresError(.connection, "the host name is not known") }
      return found
    }
  }

  private static func lookUp(_ host: String) -> [String] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var first: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &first) == 0 else { return [] }
    defer { freeaddrinfo(first) }
    var found: [String] = []
    var next = first
    while let entry = next {
      next = entry.pointee.ai_next
      let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { room in
        getnameinfo(
          entry.pointee.ai_addr, entry.pointee.ai_addrlen, room.baseAddress, socklen_t(NI_MAXHOST), nil, 0,
          NI_NUMERICHOST) == 0 ? room.baseAddress.map { String(cString: $0) } : nil
      }
      if let text, !found.contains(text) { found.append(text) }
    }
    return found
  }
}

import Glibc

/// Whether a host needs no look-up.
func isNumericAddress(_ host: String) -> Bool {
  var four = in_addr()
  var six = in6_addr()
  return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1
}

/// The addresses of a name, as text, in the system's order. May block for seconds: never on a loop's thread.
func resolveAddresses(_ host: String) throws(MQTTError) -> [String] {
  var hints = addrinfo()
  hints.ai_family = AF_UNSPEC
  hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
  var first: UnsafeMutablePointer<addrinfo>?
  let code = getaddrinfo(host, nil, &hints, &first)
  guard code == 0 else { throw .failed("\(host): \(String(cString: gai_strerror(code)))") }
  defer { freeaddrinfo(first) }
  var found: [String] = []
  var next = first
  while let entry = next?.pointee {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    if getnameinfo(
      entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
    {
      let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if !found.contains(address) { found.append(address) }
    }
    next = entry.ai_next
  }
  guard !found.isEmpty else { throw .failed("\(host): no address") }
  return found
}

extension Mosquitto {
  /// Whether `open` returns without waiting for name servers, files or handshakes.
  static func opensAtOnce(_ configuration: MQTTConfiguration) -> Bool {
    configuration.tls == nil && isNumericAddress(configuration.host)
  }

  /// Begins to connect, with whatever has to be looked up first. May block unless `opensAtOnce`.
  ///
  /// A handshake that does not block settles for a name's first address, even if nobody listens there ("localhost"
  /// is two). So the name is resolved here, and each attempt takes the next address. With TLS the library must be
  /// given the name, to compare it with the certificate: then, for several addresses, it connects blocking, which
  /// tries them in turn.
  func open(_ configuration: MQTTConfiguration, attempt: Int) throws(MQTTError) {
    if isNumericAddress(configuration.host) {
      return try connect(configuration, address: nil, blocking: false)
    }
    let addresses = try resolveAddresses(configuration.host)
    if configuration.tls != nil {
      return try connect(configuration, address: nil, blocking: addresses.count > 1)
    }
    try connect(configuration, address: addresses[attempt % addresses.count], blocking: false)
  }
}

/// Where a server listens and what it lets clients do.
public struct HTTPServerConfiguration: Sendable {
  /// An address of this machine: `127.0.0.1`, `0.0.0.0`, `::`, or a name that resolves to one.
  public var host: String
  /// The port; 0 takes any free one, which `HTTPServer.port` then tells.
  public var port: Int
  /// A longer body is refused as `bodyTooLarge`.
  public var maximumBodyBytes: Int
  /// Where longer ones are taken.
  public var largeBodies: LargeBodies?
  /// Where bodies are read by the handler while they come.
  public var streamedBodies: StreamedBodies?
  /// A longer head (first line and fields) is refused with 431 or 414. Each connection takes this much memory and
  /// 8 KiB, out of which each field costs some 64 bytes more than its text.
  public var maximumHeaderBytes: Int
  /// Connections at a time; more wait in the kernel's queue until one is closed.
  public var connectionLimit: Int
  /// Requests that are being handled at a time; more are refused as `tooManyRequests`. `nil`: as many as connections.
  public var maximumRequestsInFlight: Int?
  /// A connection on which nothing moves for so long is closed, in whole seconds. Time in a handler does not count.
  public var connectionTimeout: Duration
  /// How long a shutdown waits for the requests that are being handled; what is left then gets 503.
  public var drainTimeout: Duration

  /// Paths that take long bodies. They are kept in memory, so all of them together have a bound.
  public struct LargeBodies: Sendable {
    /// Each as in `HTTPRequest.path`.
    public let paths: [[String]]
    /// The longest body.
    public let maximumBytes: Int
    /// How much all such bodies may take at a time, those that are being handled included; more are refused as
    /// `tooManyRequests`.
    public let maximumBytesAtOnce: Int

    public init(paths: [[String]], maximumBytes: Int, maximumBytesAtOnce: Int) {
      (self.paths, self.maximumBytes) = (paths, maximumBytes)
      self.maximumBytesAtOnce = maximumBytesAtOnce
    }
  }

  /// The PUTs below a path, whose handlers begin with the head and read the body bit by bit: nothing of it is kept but what
  /// they have not read yet, some hundred kilobytes. They see to its length.
  public struct StreamedBodies: Sendable {
    /// The path's first segments, decoded.
    public let prefix: [String]
    /// What a handler has not read is read on and dropped up to here before its answer is sent; then the connection is closed.
    public let maximumBytes: Int

    public init(prefix: [String], maximumBytes: Int) {
      (self.prefix, self.maximumBytes) = (prefix, maximumBytes)
    }
  }

  /// A configuration; every value but the address has a good default.
  public init(
    host: String = "127.0.0.1", port: Int = 0, maximumBodyBytes: Int = 1 << 20,
    largeBodies: LargeBodies? = nil, streamedBodies: StreamedBodies? = nil,
    maximumHeaderBytes: Int = 32 << 10,
    connectionLimit: Int = 4096, maximumRequestsInFlight: Int? = nil,
    connectionTimeout: Duration = .seconds(60),
    drainTimeout: Duration = .seconds(8)
  ) {
    self.host = host
    self.port = port
    self.maximumBodyBytes = maximumBodyBytes
    self.largeBodies = largeBodies
    self.streamedBodies = streamedBodies
    self.maximumHeaderBytes = maximumHeaderBytes
    self.connectionLimit = connectionLimit
    self.maximumRequestsInFlight = maximumRequestsInFlight
    self.connectionTimeout = connectionTimeout
    self.drainTimeout = drainTimeout
  }
}

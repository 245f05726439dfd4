/// Why a server could not start.
public enum HTTPServerError: Error, Equatable, CustomStringConvertible {
  /// Somebody else listens there already.
  case addressInUse(host: String, port: Int)
  /// The address cannot be listened on: it is not this machine's, or it may not be used.
  case cannotListen(host: String, port: Int, reason: String)
  /// `start()` was called a second time.
  case alreadyStarted
  /// The library refused to run, for want of memory, threads or descriptors.
  case cannotRun(reason: String)

  /// In words.
  public var description: String {
    switch self {
    case .addressInUse(let host, let port):
      "\(host) port \(port) is in use by another process: stop it (`ss -ltnp 'sport = :\(port)'` names it) or choose "
        + "another port"
    case .cannotListen(let host, let port, let reason): "cannot listen on \(host) port \(port): \(reason)"
    case .alreadyStarted: "the HTTP server has been started already"
    case .cannotRun(let reason): "the HTTP server cannot run: \(reason)"
    }
  }
}

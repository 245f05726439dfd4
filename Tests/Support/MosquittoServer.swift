import Foundation
import Threads

/// A real private Mosquitto for tests, on a loopback port of its own.
public final class MosquittoServer: Sendable {
  /// What the broker's configuration says.
  public struct Options: Sendable {
    /// Names and passwords; empty means that everybody may connect.
    public var accounts: [String: String] = [:]
    /// Whether sessions, queued and retained messages survive a restart.
    public var persistence = false
    /// How many QoS 1 messages may be unacknowledged, in both directions.
    public var maximumInFlight = 1000
    /// How many bytes more wait for one client, however many messages; as in `deploy/mosquitto`.
    public var queuedBytes = 256 << 20
    /// After how many seconds it says again how it is, on `$SYS`; 0 means never.
    public var sysInterval = 0
    /// Lines of an ACL file; `nil` means no ACL.
    public var acl: [String]?
    /// More lines for mosquitto.conf.
    public var extra: [String] = []

    /// An open broker that keeps nothing.
    public init() {}
  }

  /// The loopback address that it listens on.
  public let host = "127.0.0.1"
  /// Its port, the same after a restart.
  public let port: Int
  private let folder: URL
  private let process: Locked<ChildProcess?>

  /// Starts one and waits until it answers.
  public init(_ options: Options = Options()) async throws {
    folder = try RunFolder.make("mosquitto")
    port = try freePort()
    process = Locked(nil)
    try writeConfiguration(options)
    try await restart()
  }

  /// One open broker for all tests that do not stop it.
  public static func shared() async throws -> MosquittoServer { try await sharedTask.value }
  private static let sharedTask = Task { try await MosquittoServer() }

  /// The broker's process id while it runs.
  public var pid: pid_t? { process.withLock { $0?.pid } }
  /// What it logged.
  public var log: String {
    (try? String(contentsOf: folder.appending(path: "mosquitto.log"), encoding: .utf8)) ?? ""
  }

  /// Stops it at once, as a power failure would.
  public func kill() { stop(SIGKILL) }

  /// Stops it in order; with persistence it saves first.
  public func stop(_ signal: Int32 = SIGTERM) {
    process.withLock { process in
      process?.stop(signal)
      process = nil
    }
  }

  /// Sends a signal; `SIGSTOP` and `SIGCONT` make it hang and go on, `SIGUSR1` makes it save.
  public func signal(_ number: Int32) { process.withLock { $0?.signal(number) } }

  /// Starts it again on the same port, if it does not run, and waits until it answers.
  public func restart() async throws {
    try process.withLock { process in
      guard process == nil else { return }
      // The test runner's threads block SIGTERM, and a child inherits that: it could not be stopped in order.
      var none = sigset_t()
      var before = sigset_t()
      sigemptyset(&none)
      pthread_sigmask(SIG_SETMASK, &none, &before)
      defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
      process = try ChildProcess(
        ["/usr/sbin/mosquitto", "-c", folder.appending(path: "mosquitto.conf").path],
        log: folder.appending(path: "mosquitto.log"))
    }
    try await eventually("mosquitto on port \(port) answers; its log: \(log.suffix(400))") { answers() }
  }

  private func writeConfiguration(_ options: Options) throws {
    var lines = [
      "listener \(port) \(host)", "set_tcp_nodelay true", "max_inflight_messages \(options.maximumInFlight)",
      "max_queued_messages 0", "max_queued_bytes \(options.queuedBytes)",
      "persistence \(options.persistence)", "persistence_location \(folder.path)/", "autosave_interval 0",
      "sys_interval \(options.sysInterval)",
      "allow_anonymous \(options.accounts.isEmpty)",
    ]
    // As root it would change to a user who may not write here.
    if getuid() == 0 { lines.append("user root") }
    if !options.accounts.isEmpty { lines.append("password_file \(try makePasswordFile(options.accounts))") }
    if let acl = options.acl {
      let file = folder.appending(path: "acl")
      try acl.joined(separator: "\n").appending("\n").write(to: file, atomically: true, encoding: .utf8)
      lines.append("acl_file \(file.path)")
    }
    try (lines + options.extra).joined(separator: "\n").appending("\n")
      .write(to: folder.appending(path: "mosquitto.conf"), atomically: true, encoding: .utf8)
  }

  private func makePasswordFile(_ accounts: [String: String]) throws -> String {
    let file = folder.appending(path: "passwords")
    let lines = accounts.map { "\($0.key):\($0.value)\n" }.joined()
    try lines.write(to: file, atomically: true, encoding: .utf8)
    let tool = Process()
    tool.executableURL = URL(filePath: "/usr/bin/mosquitto_passwd")
    tool.arguments = ["-U", file.path]
    try tool.run()
    tool.waitUntilExit()
    guard tool.terminationStatus == 0 else { throw TestSupportError("mosquitto_passwd failed") }
    return file.path
  }

  private func answers() -> Bool {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr(host)
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}

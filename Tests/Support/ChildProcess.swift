import Foundation
import Threads

/// A server that a test started: it has a pid file under the run folder while it lives and is killed when the
/// test process ends, by pid.
public final class ChildProcess: Sendable {
  /// The process id.
  public let pid: pid_t
  /// Where its standard output and error go.
  public let log: URL
  private let pidFile: URL

  /// Starts `arguments[0]` (a full path or a name on PATH), output into `log`.
  public init(_ arguments: [String], log: URL, environment: [String: String] = [:]) throws {
    self.log = log
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log.path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // Nothing else of ours: a server that holds the end of somebody's pipe keeps its reader waiting for ever.
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
      if let descriptor = Int32(name), descriptor > 2 {
        posix_spawn_file_actions_addclose(&actions, descriptor)
      }
    }
    // The test runner blocks signals; a server that inherits that never hears SIGTERM.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var pid: pid_t = 0
    let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var envp: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, &argv, &envp)
    guard code == 0 else {
      throw TestSupportError("cannot start \(arguments[0]): \(String(cString: strerror(code)))")
    }
    self.pid = pid
    pidFile = RunFolder.shared.appending(path: "\(pid).pid")
    try Data("\(pid)\n".utf8).write(to: pidFile)
    Self.living.withLock { _ = $0.insert(pid) }
    Self.killAtExit
  }

  /// Sends a signal; `SIGSTOP` and `SIGCONT` make a server hang and go on.
  public func signal(_ number: Int32) { kill(pid, number) }

  /// Ends the process and waits until it is gone.
  public func stop(_ number: Int32 = SIGTERM) {
    guard Self.living.withLock({ $0.remove(pid) }) != nil else { return }
    kill(pid, number)
    var status: Int32 = 0
    for _ in 0..<1000 where waitpid(pid, &status, WNOHANG) == 0 { usleep(10_000) }
    if kill(pid, 0) == 0 {
      kill(pid, SIGKILL)
      waitpid(pid, &status, 0)
    }
    try? FileManager.default.removeItem(at: pidFile)
  }

  deinit { stop(SIGKILL) }

  /// Sends a signal to the process and to its own children: a server's that are left behind may never notice.
  public func signalAll(_ number: Int32) { Self.signalAll(pid, number) }

  private static func signalAll(_ pid: pid_t, _ number: Int32) {
    let children = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
    kill(pid, number)
    for child in children.split(separator: " ").compactMap({ pid_t($0) }) { kill(child, number) }
  }

  private static let living = Locked<Set<pid_t>>([])
  private static let killAtExit: Void = {
    atexit { ChildProcess.living.withLock { for pid in $0 { signalAll(pid, SIGKILL) } } }
  }()
}

/// What went wrong in a test's own machinery, in words.
public struct TestSupportError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// The folder of this test process: data, logs and pid files of the servers it starts.
public enum RunFolder {
  /// `$MARTLET_TEST_RUN` or a fresh folder under the temporary one, readable by every local user (PostgreSQL
  /// does not run as root).
  public static let shared: URL = {
    let root =
      ProcessInfo.processInfo.environment["MARTLET_TEST_RUN"].map { URL(filePath: $0) }
      ?? FileManager.default.temporaryDirectory.appending(path: "martlet-tests")
    let folder = root.appending(path: "\(getpid())")
    try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    chmod(root.path, 0o755)
    chmod(folder.path, 0o777)
    return folder
  }()

  /// A new empty folder in it.
  public static func make(_ name: String) throws -> URL {
    let folder = shared.appending(path: "\(name)-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    chmod(folder.path, 0o777)
    return folder
  }
}

/// A loopback port that nothing listens on now. Below those that the system gives to connections that go out: one of these could
/// take it before its server does.
public func freePort() throws -> Int {
  for _ in ports {
    let port = nextPort.withLock { place in
      place = (place + 1) % ports.count
      return ports.lowerBound + place
    }
    if isFree(port) { return port }
  }
  throw TestSupportError("no free port")
}

private let ports = 22_000..<32_000
/// Each process begins elsewhere.
private let nextPort = Locked(Int(getpid()) * 97 % ports.count)

private func isFree(_ port: Int) -> Bool {
  let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(socket) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  address.sin_addr.s_addr = inet_addr("127.0.0.1")
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
    }
  }
}

/// Waits until `condition` holds, looking every 20 ms; throws after `seconds`.
public func eventually(
  _ what: String, within seconds: Double = 20, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + .seconds(seconds)
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(20))
  }
  throw TestSupportError("not within \(seconds) s: \(what)")
}

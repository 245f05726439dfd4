import Foundation
import Threads

/// A real PostgreSQL of a test's own: data folder, socket and port are private, fsync is on.
///
/// PostgreSQL refuses to run as root; then it runs as `postgres`, started through `setpriv`, which replaces
/// itself, so that the process started is the postmaster.
public final class PostgresServer: Sendable {
  /// Its loopback port.
  public let port: Int
  /// Its superuser's password, for servers started with one; the role is `martlet`.
  public let password: String
  private let folder: URL
  private let postmaster = Locked<ChildProcess?>(nil)

  /// Makes a cluster and starts it; every login needs the password.
  public init(settings: [String: String] = [:]) async throws {
    port = try freePort()
    password = "pw-\(UUID().uuidString.prefix(8))"
    folder = try RunFolder.make("postgres")
    Self.removeAtExit(folder)
    try await initialise()
    let lines = settings.map { "\($0.key) = \($0.value)" }.joined(separator: "\n")
    let more = """
      listen_addresses = '127.0.0.1'
      port = \(port)
      unix_socket_directories = '\(folder.path)'
      max_connections = 100
      shared_buffers = 32MB
      fsync = on
      \(lines)

      """
    let file = folder.appending(path: "data/postgresql.conf")
    let handle = try FileHandle(forWritingTo: file)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data(more.utf8))
    try handle.close()
    try await start()
  }

  deinit { kill() }

  /// The URL of the superuser's database `postgres`.
  public var url: String { url(database: "postgres") }

  /// The URL of a database by TCP.
  public func url(database: String, password: String? = nil) -> String {
    "postgresql://martlet:\(password ?? self.password)@127.0.0.1:\(port)/\(database)"
  }

  /// The URL of a database by the Unix socket.
  public func socketURL(database: String) -> String {
    let host = folder.path.replacingOccurrences(of: "/", with: "%2F")
    return "postgresql://martlet:\(password)@\(host):\(port)/\(database)"
  }

  /// Makes a new empty database and gives its URL.
  public func createDatabase(_ prefix: String = "test") async throws -> String {
    let name = "\(prefix)_\(UUID().uuidString.prefix(8).lowercased())"
    try await psql("CREATE DATABASE \"\(name)\"")
    return url(database: name)
  }

  /// Runs SQL from outside, by `psql`, and gives what it prints, without alignment.
  @discardableResult
  public func psql(_ sql: String, database: String = "postgres") async throws -> String {
    try await Self.run(
      [
        Self.binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql,
        url(database: database),
      ])
  }

  /// Starts it (again) and waits until it takes connections.
  public func start() async throws {
    let command = Self.asOtherUser + [Self.binary("postgres"), "-D", folder.appending(path: "data").path]
    let log = folder.appending(path: "postgres.log")
    let started = try ChildProcess(command, log: log)
    postmaster.withLock { $0 = started }
    try await eventually("PostgreSQL takes connections", within: 60) {
      (try? await psql("SELECT 1")) != nil
    }
  }

  /// SIGKILL to all, as a crash.
  public func kill() {
    postmaster.withLock { process in
      process?.signalAll(SIGKILL)
      process?.stop(SIGKILL)
      process = nil
    }
  }

  /// Stops it at once but in order, dropping its sessions.
  public func stop() {
    postmaster.withLock { process in
      process?.stop(SIGINT)
      process = nil
    }
  }

  /// Kills it if it runs, and starts it.
  public func restart() async throws {
    kill()
    try await start()
  }

  /// Makes the postmaster and all its children hang (SIGSTOP).
  public func pause() { postmaster.withLock { $0?.signalAll(SIGSTOP) } }

  /// Lets them go on.
  public func resume() { postmaster.withLock { $0?.signalAll(SIGCONT) } }

  /// The one that the test process shares, started by the first who asks.
  public static func shared() async throws -> PostgresServer { try await common.value }

  private static let common = Task { try await PostgresServer() }

  private func initialise() async throws {
    let passwordFile = folder.appending(path: "password")
    try Data(password.utf8).write(to: passwordFile)
    chmod(passwordFile.path, 0o644)
    try await Self.run(
      Self.asOtherUser + [
        Self.binary("initdb"), "-D", folder.appending(path: "data").path, "-U", "martlet", "-A",
        "scram-sha-256",
        "--pwfile", passwordFile.path, "-E", "UTF8", "--locale=C.UTF-8", "--lc-collate=C",
        "--no-instructions",
      ])
  }

  /// What stands before a command that must not run as root.
  private static let asOtherUser: [String] =
    geteuid() == 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] : []

  /// The newest version's program.
  private static func binary(_ name: String) -> String {
    let root = "/usr/lib/postgresql"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    let newest = versions.compactMap { Int($0) }.sorted().last
    return newest.map { "\(root)/\($0)/bin/\(name)" } ?? name
  }

  /// The data folders, removed when the process ends.
  private static let folders = Locked<[URL]>([])
  private static let removal: Void = {
    atexit { for folder in PostgresServer.folders.withLock({ $0 }) { PostgresServer.remove(folder) } }
  }()

  /// The killed postmaster's children end a moment later, and until then files come and go under the removal.
  private static func remove(_ folder: URL) {
    for _ in 0..<40 where FileManager.default.fileExists(atPath: folder.path) {
      if (try? FileManager.default.removeItem(at: folder)) == nil { usleep(50_000) }
    }
  }

  /// To be called before the first server starts: what is registered first runs last, after the kill.
  private static func removeAtExit(_ folder: URL) {
    folders.withLock { $0.append(folder) }
    removal
  }

  /// Runs a program to its end, on another thread than the cooperative pool's few, and gives what it prints.
  @discardableResult
  private static func run(_ command: [String]) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(with: Result { try runBlocking(command) })
      }
    }
  }

  private static func runBlocking(_ command: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = command
    process.currentDirectoryURL = URL(filePath: "/")
    // A file, not a pipe: a server that is started meanwhile could hold the pipe's other end.
    let file = try RunFolder.make("command").appending(path: "output")
    try Data().write(to: file)
    let handle = try FileHandle(forWritingTo: file)
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    let output = try String(contentsOf: file, encoding: .utf8)
    guard process.terminationStatus == 0 else { throw TestSupportError("\(command[0]) failed: \(output)") }
    return output.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

import Foundation
import Threads

/// A Kafka broker for tests: the one at `$MARTLET_KAFKA_BOOTSTRAP`, or a private node of the distribution in
/// `$KAFKA_HOME`, or the development broker `devkafka` of this build.
public final class KafkaServer: Sendable {
  /// Whether a real Kafka of our own is there, which can be killed and started again.
  public static let isReal = environment["MARTLET_KAFKA_BOOTSTRAP"] == nil && environment["KAFKA_HOME"] != nil

  /// Whether it is Kafka and not the development broker.
  public static let isKafka =
    environment["MARTLET_KAFKA_BOOTSTRAP"] != nil || environment["KAFKA_HOME"] != nil

  /// `host:port`.
  public let bootstrapServers: String
  private let start: (@Sendable () throws -> ChildProcess)?
  private let process: Locked<ChildProcess?>

  private static let environment = ProcessInfo.processInfo.environment
  private static let starting = Task<KafkaServer, any Error>.detached { try await KafkaServer() }

  /// This test process's broker; the first call starts it.
  public static func shared() async throws -> KafkaServer { try await starting.value }

  /// A broker of its own, for tests that kill it.
  public init() async throws {
    if let given = Self.environment["MARTLET_KAFKA_BOOTSTRAP"] {
      bootstrapServers = given
      start = nil
      process = Locked(nil)
      return
    }
    if let home = Self.environment["KAFKA_HOME"] {
      let (port, start) = try Self.node(home)
      bootstrapServers = "127.0.0.1:\(port)"
      self.start = start
      process = Locked(try start())
      try await answer()
    } else {
      let (address, child) = try await Self.development()
      bootstrapServers = address
      start = nil
      process = Locked(child)
    }
  }

  /// The broker's process id, if it is ours and runs.
  public var pid: pid_t? { process.withLock { $0?.pid } }

  /// SIGKILL: nothing is flushed, nobody is told.
  public func kill() { process.withLock { $0.take() }?.stop(SIGKILL) }

  /// SIGSTOP, or SIGCONT: the broker hangs, or goes on.
  public func signal(_ number: Int32) { process.withLock { $0 }?.signal(number) }

  /// Starts it again with its data, and waits until it answers.
  public func restart() async throws {
    guard let start else { throw TestSupportError("this broker is not ours to restart") }
    try process.withLock { process in
      process?.stop(SIGTERM)
      process = try start()
    }
    try await answer()
  }

  /// Java opens its port when it is about ready to answer; clients wait out the rest.
  private func answer() async throws {
    guard let port = Int(bootstrapServers.split(separator: ":").last ?? "") else { return }
    try await eventually("Kafka listens at \(bootstrapServers)", within: 60) { Self.listens(port) }
  }

  private static func listens(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    address.sin_port = UInt16(port).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}

// A node of a distribution.
extension KafkaServer {
  private static func node(_ home: String) throws -> (port: Int, start: @Sendable () throws -> ChildProcess) {
    let folder = try RunFolder.make("kafka")
    let (port, controller) = (try freePort(), try freePort())
    let file = folder.appending(path: "server.properties")
    let text = properties(port, controller, data: folder.appending(path: "data").path)
    try Data(text.utf8).write(to: file)
    let settings = [
      "KAFKA_HEAP_OPTS": "-Xms128m -Xmx384m", "LOG_DIR": folder.appending(path: "logs").path,
    ]
    let log = folder.appending(path: "kafka.log")
    let format = Process()
    format.executableURL = URL(filePath: home).appending(path: "bin/kafka-storage.sh")
    // Any 16 bytes in URL-safe base 64 are a cluster's name.
    format.arguments = ["format", "-t", "bWFydGxldC10ZXN0cy0wMQ", "-c", file.path]
    format.environment = environment.merging(settings) { $1 }
    format.standardOutput = FileHandle.nullDevice
    format.standardError = FileHandle.nullDevice
    try format.run()
    format.waitUntilExit()
    guard format.terminationStatus == 0 else {
      throw TestSupportError("kafka-storage.sh format failed in \(folder.path)")
    }
    return (
      port,
      {
        // The scripts `exec` down to java, so that the process id is Java's own.
        try ChildProcess(["\(home)/bin/kafka-server-start.sh", file.path], log: log, environment: settings)
      }
    )
  }

  private static func properties(_ port: Int, _ controller: Int, data: String) -> String {
    """
    process.roles=broker,controller
    node.id=1
    controller.quorum.voters=1@127.0.0.1:\(controller)
    listeners=PLAINTEXT://127.0.0.1:\(port),CONTROLLER://127.0.0.1:\(controller)
    advertised.listeners=PLAINTEXT://127.0.0.1:\(port)
    controller.listener.names=CONTROLLER
    inter.broker.listener.name=PLAINTEXT
    listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
    log.dirs=\(data)
    auto.create.topics.enable=false
    offsets.topic.num.partitions=4
    offsets.topic.replication.factor=1
    transaction.state.log.num.partitions=4
    transaction.state.log.replication.factor=1
    transaction.state.log.min.isr=1
    share.coordinator.state.topic.num.partitions=4
    share.coordinator.state.topic.replication.factor=1
    share.coordinator.state.topic.min.isr=1
    group.initial.rebalance.delay.ms=0
    group.min.session.timeout.ms=1000
    broker.session.timeout.ms=3000
    broker.heartbeat.interval.ms=500
    """
  }

  /// The development broker beside the test binary, or where `$MARTLET_DEVKAFKA` says.
  private static func development() async throws -> (String, ChildProcess) {
    let folder = try RunFolder.make("devkafka")
    let portFile = folder.appending(path: "bootstrap")
    let child = try ChildProcess(
      [try devkafka(), "--port-file", portFile.path], log: folder.appending(path: "devkafka.log"))
    try await eventually("devkafka gives its address", within: 20) {
      FileManager.default.fileExists(atPath: portFile.path)
    }
    let address = try String(contentsOf: portFile, encoding: .utf8)
    return (address.trimmingCharacters(in: .whitespacesAndNewlines), child)
  }

  /// The test binary lies in the build folder, or in a bundle within it.
  private static func devkafka() throws -> String {
    if let given = environment["MARTLET_DEVKAFKA"] { return given }
    var folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    var candidates = CommandLine.arguments.prefix(1).map { URL(filePath: $0) } + [folder]
    candidates += CommandLine.arguments.filter { $0.contains(".xctest") }.map { URL(filePath: $0) }
    for candidate in candidates {
      folder = candidate
      for _ in 0..<4 {
        folder.deleteLastPathComponent()
        let path = folder.appending(path: "devkafka").path
        if FileManager.default.isExecutableFile(atPath: path) { return path }
      }
    }
    throw TestSupportError("no broker: set KAFKA_HOME or MARTLET_KAFKA_BOOTSTRAP, or build devkafka")
  }
}

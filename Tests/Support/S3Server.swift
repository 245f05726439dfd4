import Foundation

/// A real S3 server that nobody here wrote: Versity Gateway over a folder, with one bucket, `martlet`.
///
/// It lies in `$MARTLET_TOOLS/bin`; tests that need it are skipped without.
public final class S3Server: Sendable {
  public static let (accessKey, secret) = ("test-access-key", "test-secret-key")

  /// Its program, if it is there.
  public static var program: String? {
    guard let tools = ProcessInfo.processInfo.environment["MARTLET_TOOLS"] else { return nil }
    let path = "\(tools)/bin/versitygw"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }
  public static var isThere: Bool { program != nil }

  public let endpoint: String
  private let process: ChildProcess

  public init() async throws {
    guard let program = Self.program else { throw TestSupportError("no versitygw: set MARTLET_TOOLS") }
    let folder = try RunFolder.make("s3")
    let data = folder.appending(path: "data/martlet")
    try FileManager.default.createDirectory(at: data, withIntermediateDirectories: true)
    let port = try freePort()
    endpoint = "http://127.0.0.1:\(port)"
    process = try ChildProcess(
      [
        program, "--access", Self.accessKey, "--secret", Self.secret, "--port", "127.0.0.1:\(port)", "posix",
        data.deletingLastPathComponent().path,
      ], log: folder.appending(path: "versitygw.log"))
    try await eventually("versitygw listens") { Self.listens(port) }
  }

  public func stop() { process.stop() }

  private static func listens(_ port: Int) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}

import Foundation

/// The openssl tool in a folder: keys, requests and certificates that nobody here made.
public struct OpenSSL: Sendable {
  public static let isThere = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")
  public let folder: URL

  public init() throws { folder = try RunFolder.make("tls") }

  public func path(_ name: String) -> String { folder.appending(path: name).path }

  public func text(_ name: String) throws -> String {
    try String(contentsOfFile: path(name), encoding: .utf8)
  }

  /// Runs it with arguments that have no blanks in them.
  /// - Returns: what it wrote.
  @discardableResult
  public func run(_ arguments: String) throws -> String {
    let tool = Process()
    tool.executableURL = URL(filePath: "/usr/bin/openssl")
    tool.arguments = arguments.split(separator: " ").map(String.init)
    tool.currentDirectoryURL = folder
    let output = Pipe()
    tool.standardOutput = output
    tool.standardError = FileHandle.nullDevice
    try tool.run()
    let written = output.fileHandleForReading.readDataToEndOfFile()
    tool.waitUntilExit()
    guard tool.terminationStatus == 0 else { throw TestSupportError("openssl \(arguments) failed") }
    return String(decoding: written, as: UTF8.self)
  }

  /// An authority: `name.pem` and `name.key`.
  public func makeAuthority(_ name: String = "ca", key: String = "rsa:2048") throws {
    try run(
      "req -x509 -newkey \(key) -nodes -days 2 -addext keyUsage=critical,keyCertSign,cRLSign -subj /CN=test-\(name) -keyout \(name).key -out \(name).pem"
    )
  }

  /// A request: `name.csr`, with `name.key`.
  public func makeRequest(_ name: String, key: String = "rsa:2048", subject: String) throws {
    try run("req -newkey \(key) -nodes -subj \(subject) -keyout \(name).key -out \(name).csr")
  }
}

import Foundation
import HTTP
import Loop
import Observability
import Synchronization
import TestSupport

/// A running server with this handler; stopped when `body` is done.
func withServer(
  _ configuration: HTTPServerConfiguration = HTTPServerConfiguration(),
  logger: Logger = Logger(label: "http-tests", level: .critical),
  handler: @escaping @Sendable (HTTPRequest) async -> HTTPResponse = echo,
  _ body: (HTTPServer) async throws -> Void
) async throws {
  let server = HTTPServer(
    configuration: configuration, loop: .start("http-test"), logger: logger, handler: handler)
  try server.start()
  do {
    try await body(server)
    await server.shutdown()
  } catch {
    await server.shutdown()
    throw error
  }
}

/// Answers what it was asked, line by line.
@Sendable func echo(_ request: HTTPRequest) async -> HTTPResponse {
  let query = request.query.items.map { "\($0.name)=\($0.value)" }
  return .text(
    """
    method \(request.method)
    path \(request.path)
    query \(query)
    body \(request.body.count) \(String(decoding: request.body.prefix(64), as: UTF8.self))
    from \(request.remoteAddress)

    """)
}

/// Runs the program `curl` and gives what it printed.
func curl(_ arguments: String...) async throws -> (status: Int32, output: String) {
  try await blocking {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/curl")
    process.arguments = ["--silent", "--show-error", "--max-time", "20"] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}

/// Counts from any thread.
final class Counter: Sendable {
  private let count = Atomic(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func add(_ step: Int = 1) { count.wrappingAdd(step, ordering: .sequentiallyConsistent) }
}

/// The memory of this process that is in RAM, in bytes.
func residentBytes() throws -> Int {
  let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
  guard fields.count > 1, let pages = Int(fields[1]) else { throw TestSupportError("statm") }
  return pages * 4096
}

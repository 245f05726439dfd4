import Foundation
import Loop
import TestSupport
import Testing

@testable import Postgres

/// Connections and results are freed.
@Suite(.serialized) struct LeakTests {
  /// Resident memory in kilobytes.
  private func resident() throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    return (Int(text.split(separator: " ")[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) / 1024
  }

  private func descriptors() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
  }

  @Test func connectionsMadeAndDropped() async throws {
    let loop = EventLoop.start("postgres-test")
    defer { loop.shutdown() }
    let url = try await PostgresServer.shared().url
    let configuration = try PostgresConfiguration(
      url: url, schema: nil, applicationName: "leak", connectTimeout: .seconds(60))
    func some(_ count: Int) async throws {
      for number in 0..<count {
        let session = try await Connector.connect(configuration, on: loop)
        _ = try await session.pipeline(["SELECT \(number)"], lease: nil)
      }
    }
    try await some(200)
    let before = (memory: try resident(), files: try descriptors())
    try await some(1000)
    let growth = try resident() - before.memory
    // A PGconn with its buffers is 40 kB and more: kept, they would be 40 MB. Other tests run meanwhile.
    #expect(growth < 30_000, "\(growth) kB")
    #expect(try descriptors() - before.files < 200)
  }

  @Test func resultsMadeAndDropped() async throws {
    try await withClient(maximumConnections: 1) { client in
      let text = String(repeating: "x", count: 20_000)
      func some(_ count: Int) async throws {
        for _ in 0..<count {
          _ = try await client.query("SELECT \(text), n FROM generate_series(1, 3) n")
          _ = await fault { try await client.query("SELECT 1 / 0") }
        }
      }
      try await some(200)
      let before = try resident()
      try await some(3000)
      let growth = try resident() - before
      // The rows alone are 180 MB.
      #expect(growth < 60_000, "\(growth) kB")
    }
  }
}

import CommandsDomain
import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import CommandsService

/// SPEC, section 10: numbers in params and results come back digit for digit.
@Suite("Digits of numbers")
struct DigitsTests {
  private static let numbers =
    #"[1e5,-0,-0.0,1E+300,1e-7,1.50,0.10,12345678901234567890,123456789012345678901234567890.123,0e0,1e-400]"#

  @Test("of params: in the answer, in lists, on both surfaces, for the device, and of a retry")
  func params() async throws {
    let world = try await World()
    let body = Data(#"{"type":"REBOOT","params":{"n":\#(Self.numbers)}}"#.utf8)
    let json = try JSON(parsing: Array(body))
    let created = try await world.ask(.post, "api/v1/devices/\(world.device.deviceId)/commands", json).json
    #expect(created["params"]?["n"]?.text == Self.numbers)
    let id = try #require(created["id"]?.string)
    try await world.report(id, .failed)
    let retry = try await world.ask(.post, "commands/\(id)/retry", [:]).json
    let again = try #require(retry["new_command"]?["command_id"]?.string)
    for id in [id, again] {
      for path in ["api/v1/commands/\(id)", "commands/\(id)"] {
        #expect(try await world.ask(.get, path).json["params"]?["n"]?.text == Self.numbers)
      }
    }
    let listed = try await world.ask(.get, "api/v1/devices/\(world.device.deviceId)/commands").json
    #expect(listed["items"]?.array?.allSatisfy { $0["params"]?["n"]?.text == Self.numbers } == true)
    let sent = try await world.fixture.outbox(world.device.deviceId, .deviceDownlink)
      .filter { $0.json["params"] != nil }
    #expect(sent.count == 2 && sent.allSatisfy { $0.json["params"]?["n"]?.text == Self.numbers })
  }

  @Test("of results, also such as no double has")
  func results() async throws {
    let world = try await World()
    let id = try await world.command()
    let text = Self.numbers.dropLast() + ",1e400,-1e-99999,1e999999999999]"
    let result = try JSON(parsing: Array(text.utf8), allowsAnyNumber: true)
    try await world.report(id, .succeeded, result: result)
    for path in ["api/v1/commands/\(id)", "commands/\(id)"] {
      let target = "/\(path)?organisationId=\(world.organisation.text)"
      let response = await world.fixture.api.respond(
        to: HTTPRequest(
          method: .get, target: target, headers: ["X-API-Key": Fixture.rootKey], body: []))
      guard case .bytes(let bytes) = response.body else { throw TestSupportError("no body") }
      let answer = String(decoding: bytes, as: UTF8.self)
      #expect(answer.contains(#""result":\#(text)"#), "\(answer)")
    }
  }
}

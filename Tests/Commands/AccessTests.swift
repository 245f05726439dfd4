import Foundation
import HTTP
import Testing
import Wire

@testable import CommandsService

/// Every route and the lowest role that may use it.
struct CommandRoute: Sendable, CustomTestStringConvertible {
  let method: HTTPMethod
  let template: String
  let role: Role

  var testDescription: String { "\(method.rawValue) /\(template)" }

  static let all: [CommandRoute] = [
    .init(method: .post, template: "api/v1/devices/{deviceId}/commands", role: .operator),
    .init(method: .get, template: "api/v1/devices/{deviceId}/commands", role: .viewer),
    .init(method: .get, template: "api/v1/devices/{deviceId}/commands/{id}", role: .viewer),
    .init(method: .post, template: "api/v1/devices/{deviceId}/commands/{id}/cancel", role: .operator),
    .init(method: .get, template: "api/v1/commands/{id}", role: .viewer),
    .init(method: .post, template: "api/v1/commands/{id}/cancel", role: .operator),
    .init(method: .post, template: "api/v1/commands/bulk", role: .operator),
    .init(method: .get, template: "api/v1/commands/bulk", role: .viewer),
    .init(method: .get, template: "api/v1/commands/bulk/{id}", role: .viewer),
    .init(method: .get, template: "api/v1/commands/bulk/{id}/commands", role: .viewer),
    .init(method: .post, template: "api/v1/commands/bulk/{id}/cancel", role: .operator),
    .init(method: .post, template: "api/v1/commands/bulk/{id}/retry", role: .operator),
    .init(method: .get, template: "api/v1/invariants", role: .viewer),
    .init(method: .get, template: "api/v1/events", role: .viewer),
    .init(method: .post, template: "devices/{id}/commands", role: .operator),
    .init(method: .get, template: "devices/{id}/commands", role: .viewer),
    .init(method: .get, template: "commands", role: .admin),
    .init(method: .get, template: "commands/{id}", role: .viewer),
    .init(method: .delete, template: "commands/{id}", role: .admin),
    .init(method: .post, template: "commands/{id}/retry", role: .admin),
    .init(method: .post, template: "commands/purge", role: .admin),
  ]
}

@Suite("Who may do what with commands")
struct AccessTests {
  @Test("the table names every route")
  func whole() async throws {
    let routes = try await Fixture.shared().api.routes.map { "\($0.method.rawValue) \($0.template)" }
    #expect(
      Set(routes.map { $0.replacing(" /", with: " ") })
        == Set(CommandRoute.all.map { "\($0.method.rawValue) \($0.template)" }))
  }

  @Test("no key is 401, a role below is 403, and the role itself comes through", arguments: CommandRoute.all)
  func roles(_ route: CommandRoute) async throws {
    let world = try await World()
    let path = route.template.replacing("{deviceId}", with: "none").replacing("{id}", with: "none")
    func status(_ key: String) async throws -> Int {
      try await world.ask(route.method, path, route.method == .post ? [:] : nil, key: key).status
    }
    #expect(try await status("nobody's") == 401)
    for role in [Role.viewer, .operator, .admin] {
      let status = try await status(world.key(role))
      #expect((status == 403) == (role < route.role), "\(role) is answered \(status)")
      #expect(status < 500)
    }
  }

  @Test("the description says which role it takes", arguments: CommandRoute.all)
  func described(_ route: CommandRoute) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Services/commands/openapi.yaml").standardized
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    let path = try #require(lines.firstIndex(of: "  /\(route.template):"))
    let method = try #require(lines[path...].firstIndex(of: "    \(route.method.rawValue.lowercased()):"))
    let summary = try #require(lines[method...].first { $0.hasPrefix("      summary: ") })
    let said = [Role.operator, .admin].first { summary.hasSuffix("(\($0.rawValue))") } ?? .viewer
    #expect(said == route.role, "\(summary)")
  }
}

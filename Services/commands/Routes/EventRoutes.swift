import CommandsDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `GET /api/v1/events`: server-sent events (SPEC, section 5.1).
struct EventRoutes: Sendable {
  let service: CommandsService

  /// The most names in one filter.
  private static let mostNames = 100

  func stream(_ request: HTTPRequest, _ context: RequestContext, _ standing: Standing) async throws
    -> HTTPResponse
  {
    try request.allow(query: ["deviceId", "type"], isList: false)
    let organisation = try context.organisation(request)
    let ids = request.headers.values("Last-Event-ID")
    guard ids.count <= 1 else { throw Problem.badRequest("Last-Event-ID is given more than once.") }
    let filter = try await filter(request, organisation)
    var key: UUID?
    if case .key(let id, _, _, _) = context.principal { key = id }
    let stream = try await service.live.open(
      filter, of: organisation, key: key, after: ids.first.flatMap { $0.isEmpty ? nil : $0 })
    return .stream([
      "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
    ]) {
      try await LivePump(stream: stream, standing: standing).run($0)
    }
  }

  private func filter(_ request: HTTPRequest, _ organisation: UUID) async throws -> LiveFilter {
    var devices: Set<String>?
    if let names = try names(request, "deviceId") {
      devices = []
      for name in names { devices?.insert(try await service.device(name, in: organisation).deviceId) }
    }
    let kinds = try names(request, "type")?.map { name in
      guard let kind = LiveFilter.Kind(name) else {
        throw Problem.badRequest(
          "type must name types of events, such as martlet.command.created or martlet.config.*, separated by commas."
        )
      }
      return kind
    }
    return LiveFilter(devices: devices, kinds: kinds)
  }

  private func names(_ request: HTTPRequest, _ parameter: String) throws -> [String]? {
    guard let text = request.query[parameter] else { return nil }
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard names.count <= Self.mostNames, names.allSatisfy({ !$0.isEmpty }) else {
      throw Problem.badRequest("\(parameter) must be 1 to \(Self.mostNames) names, separated by commas.")
    }
    return names
  }
}

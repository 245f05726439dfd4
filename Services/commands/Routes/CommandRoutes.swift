import CommandsDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/api/v1`: camelCase, upper-case statuses (SPEC, section 5.1).
struct CommandRoutes: Sendable {
  let service: CommandsService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) { (command: Command) in
      .json(command.created, status: 201)
    }
    let wanted = try request.decode { CommandsService.Request(&$0) }
    let command = try await service.create(
      wanted, for: request.parameter("deviceId"), in: try context.scope(request), by: context.principal,
      trace: context.trace, once)
    return try once.response(command)
  }

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["status", "type", "since"])
    let scope = try context.scope(request)
    var filter = try CommandPage.filter(request)
    filter.device = try await service.device(request.parameter("deviceId"), in: scope)
    filter.organisation = scope
    filter.status = try CommandPage.status(request)
    filter.type = request.query["type"]
    filter.since = try request.query["since"].map { text in
      guard let time = Date(rfc3339InAddress: text) else {
        throw Problem.badRequest("since must be a time of RFC 3339, such as 2026-01-31T12:00:00.000Z.")
      }
      return time
    }
    return try await CommandPage.answer(service, filter) { $0.json(withTimeline: false) }
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .json(try await command(request, context).json(withTimeline: true))
  }

  func cancel(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.refuseFields()
    let command = try await command(request, context)
    let cancelled = try await service.cancel(
      command.head.id, in: command.head.organisationId, by: context.principal)
    return .json(cancelled.json(withTimeline: true))
  }

  /// The command that the path names, of the device that it names, if it names one.
  private func command(_ request: HTTPRequest, _ context: RequestContext) async throws -> Command {
    let scope = try context.scope(request)
    guard let command = try await service.command(try request.id("id", of: "command"), in: scope) else {
      throw Problem.notFound("command")
    }
    if request.pathParameters["deviceId"] != nil {
      let device = try await service.device(request.parameter("deviceId"), in: scope)
      guard command.isOf(device) else { throw Problem.notFound("command") }
    }
    return command
  }

  func invariants(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .json(try await service.invariants(in: try context.scope(request)))
  }
}

extension CommandsService.Request {
  /// The fields of a command: of a single one, and of each of a campaign's.
  init(_ body: inout JSONFields) {
    let timeouts = body.optional("timeouts", Self.timeouts)
    self.init(
      type: body.required("type", .string(1...128)),
      params: body.optional("params", .object) ?? JSONObject(),
      lane: body.optional("lane", Self.lane) ?? "default",
      delivery: Delivery(
        isExclusive: body.optional("exclusive", .bool) ?? false,
        waitMilliseconds: body.optional("waitTimeoutMs", .int(Delivery.waits)).map(Int64.init)),
      deliver: timeouts?.deliver, acknowledge: timeouts?.acknowledge, complete: timeouts?.complete)
  }

  private static let timeouts = JSONShape<(deliver: Int?, acknowledge: Int?, complete: Int?)>.fields(
    (nil, nil, nil)
  ) {
    (
      $0.optional("deliverSeconds", .int(Timeouts.range)),
      $0.optional("acknowledgeSeconds", .int(Timeouts.range)),
      $0.optional("completeSeconds", .int(Timeouts.range))
    )
  }

  private static let lane = JSONShape<String>.string(
    matching: "1 to 64 letters, digits, dots, dashes or underscores", Identifier.isName)
}

extension HTTPRequest {
  /// For a request that says all with its path: a body may be left out or empty, but what it says is not passed over.
  func refuseFields() throws {
    if !body.isEmpty { try decode { _ in } }
  }
}

/// Pages of commands, for both surfaces.
enum CommandPage {
  /// `limit` and `cursor`.
  static func filter(_ request: HTTPRequest) throws -> CommandStore.Filter {
    var filter = CommandStore.Filter()
    filter.limit = try request.int("limit", default: 100, in: 1...1000)
    if let cursor = request.query["cursor"] {
      guard let before = Int64(try Cursor(cursor, count: 1).values[0]) else {
        throw Problem.badRequest("cursor is not one that this list gave out.")
      }
      filter.before = before
    }
    return filter
  }

  /// `status`.
  static func status(_ request: HTTPRequest) throws -> CommandStatus? {
    try request.query["status"].map { text in
      guard let status = CommandStatus(rawValue: text) else {
        let words = CommandStatus.allCases.map(\.rawValue).joined(separator: ", ")
        throw Problem.badRequest("status must be one of \(words).")
      }
      return status
    }
  }

  /// One page, and the cursor of the next if there is one.
  static func answer(
    _ service: CommandsService, _ filter: CommandStore.Filter, _ encode: (Command) -> JSON
  ) async throws -> HTTPResponse {
    let page = try await service.commands(filter)
    return .page(page.commands.map(encode), next: page.next.map { Cursor(["\($0)"]).text })
  }
}

extension Command {
  /// The answer to its creation.
  fileprivate var created: JSON {
    guard case .object(var object) = json(withTimeline: false), let device = deviceOnline else {
      return json(withTimeline: false)
    }
    object["deviceOnline"] = .compact([
      "online": .bool(device.online), "since": device.since.map { .string($0.rfc3339) },
    ])
    return .object(object)
  }

  /// The command as `/api/v1` shows it.
  func json(withTimeline: Bool) -> JSON {
    .compact([
      "id": .string(head.id.text), "deviceId": .string(head.deviceId), "type": .string(head.type),
      "params": params,
      "lane": .string(head.lane), "exclusive": delivery.isExclusive ? true : nil,
      "waitTimeoutMs": delivery.waitMilliseconds.map { .int($0) }, "status": .string(state.status.rawValue),
      "reason": state.reason.map { .string($0) }, "createdAt": .string(createdAt.rfc3339),
      "createdBy": .string(createdBy), "sentAt": state.sentAt.map { .string($0.rfc3339) },
      "acknowledgedAt": state.acknowledgedAt.map { .string($0.rfc3339) },
      "completedAt": state.completedAt.map { .string($0.rfc3339) },
      "deadline": state.deadline.map { .string($0.rfc3339) }, "attempts": .int(Int64(state.attempts)),
      "result": state.result, "error": state.error?.json, "lateOutcome": state.lateOutcome,
      "progress": state.progress, "retryOf": retryOf.map { .string($0.text) },
      "retriedBy": retriedBy.map { .string($0.text) }, "bulkId": bulkId.map { .string($0.text) },
      "topic": .string(topic), "timeline": withTimeline ? .array(state.timeline.map(\.json)) : nil,
    ])
  }
}

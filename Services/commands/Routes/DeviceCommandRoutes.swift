import CommandsDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/devices` and `/commands`: snake_case, lower-case statuses (SPEC, section 5.2).
struct DeviceCommandRoutes: Sendable {
  let service: CommandsService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) { (command: Command) in
      .json(command.created, status: 201)
    }
    let (wanted, deviceType) = try request.decode { body in
      (
        CommandsService.Request(
          type: body.required("command", .string(1...128)),
          params: body.optional("params", .object) ?? JSONObject(),
          lane: "default", deliver: nil, acknowledge: nil, complete: nil),
        body.optional("device_type", .string(1...128))
      )
    }
    do {
      let command = try await service.create(
        wanted, for: request.parameter("id"), in: try context.scope(request), by: context.principal,
        trace: context.trace, deviceType: deviceType, once)
      return try once.response(command)
    } catch let problem as Problem where problem.status == 422 {
      throw problem.renaming(["/type": "/command"])
    }
  }

  func history(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: [])
    let scope = try context.scope(request)
    var filter = try CommandPage.filter(request)
    filter.device = try await service.device(request.parameter("id"), in: scope)
    filter.organisation = scope
    return try await CommandPage.answer(service, filter, \.record)
  }

  func all(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: [])
    var filter = try CommandPage.filter(request)
    filter.organisation = try context.scope(request)
    return try await CommandPage.answer(service, filter, \.record)
  }

  func read(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "command")
    guard let command = try await service.command(id, in: try context.scope(request)) else {
      throw Problem.notFound("command")
    }
    return .json(command.record)
  }
}

extension DeviceCommandRoutes {
  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "command")
    try await service.delete(id, in: try context.scope(request), by: context.principal)
    return .json(["success": true, "deleted": .string(id.text)])
  }

  func retry(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "command")
    let once = try await service.idempotency.once(request, context) { (command: Command) in
      .json([
        "success": true, "original_command_id": .string(id.text),
        "new_command": [
          "command_id": .string(command.head.id.text), "status": .string(command.state.status.word),
        ],
      ])
    }
    try request.refuseFields()
    let command = try await service.retry(
      id, in: try context.scope(request), by: context.principal, trace: context.trace, once)
    return try once.response(command)
  }

  func purge(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let days = try request.decode { $0.required("older_than_days", Self.days) }
    let organisation = try context.organisation(request)
    let now = Date.now.wholeMilliseconds
    // Nothing is older than that, and a time before it could not be written.
    let cutoff = max(now.addingTimeInterval(-days * 86_400), Date(timeIntervalSince1970: 0)).wholeMilliseconds
    let deleted = try await service.purge(in: organisation, before: cutoff)
    return .json(["success": true, "cutoff_date": .string(cutoff.rfc3339), "deleted": .int(deleted)])
  }

  private static let days = JSONShape<Double>(0, expected: "a number of at least 0") {
    $0.double.flatMap { $0 >= 0 ? $0 : nil }
  }
}

extension Command {
  /// The answer to its creation.
  fileprivate var created: JSON {
    .compact([
      "command_id": .string(head.id.text), "hardware_id": .string(hardwareId),
      "device_id": .string(head.deviceId),
      "device_type": .string(deviceType ?? Self.nativeType), "topic": .string(topic),
      "command": .string(head.type),
      "status": .string(state.status.word), "created_at": .string(createdAt.rfc3339),
    ])
  }

  /// The command as these lists show it.
  fileprivate var record: JSON {
    guard case .object(var object) = created else { return created }
    let more: KeyValuePairs<String, JSON?> = [
      "params": params, "reason": state.reason.map { .string($0) },
      "published_at": state.sentAt.map { .string($0.rfc3339) },
      "acknowledged_at": state.acknowledgedAt.map { .string($0.rfc3339) },
      "completed_at": state.completedAt.map { .string($0.rfc3339) },
      "deadline": state.deadline.map { .string($0.rfc3339) }, "attempts": .int(Int64(state.attempts)),
      "result": state.result, "error": state.error?.json, "late_outcome": state.lateOutcome,
      "progress": state.progress, "retry_of": retryOf.map { .string($0.text) },
      "retried_by": retriedBy.map { .string($0.text) }, "created_by": .string(createdBy),
    ]
    for (name, value) in more { if let value { object[name] = value } }
    return .object(object)
  }

  /// The type of a device whose board names none: it speaks the native topics.
  static let nativeType = "martlet"
}

extension CommandStatus {
  /// The word of this surface.
  fileprivate var word: String {
    switch self {
    case .pending: "pending"
    case .sent: "published"
    case .acknowledged: "acknowledged"
    case .success: "completed"
    case .failed: "failed"
    case .timeout: "timeout"
    }
  }
}

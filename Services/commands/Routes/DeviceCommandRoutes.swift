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
    filter.deviceId = try await service.device(request.parameter("id"), in: scope).deviceId
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

extension Command {
  /// The answer to its creation.
  fileprivate var created: JSON {
    .compact([
      "command_id": .string(head.id.text), "hardware_id": .string(hardwareId),
      "device_id": .string(head.deviceId),
      "device_type": .string(deviceType ?? Self.nativeType), "topic": .string(topic),
      "command": .string(head.type),
      "status": .string(progress.status.word), "created_at": .string(createdAt.rfc3339),
    ])
  }

  /// The command as these lists show it.
  fileprivate var record: JSON {
    guard case .object(var object) = created else { return created }
    let more: KeyValuePairs<String, JSON?> = [
      "params": params, "reason": progress.reason.map { .string($0) },
      "published_at": progress.sentAt.map { .string($0.rfc3339) },
      "acknowledged_at": progress.acknowledgedAt.map { .string($0.rfc3339) },
      "completed_at": progress.completedAt.map { .string($0.rfc3339) },
      "deadline": progress.deadline.map { .string($0.rfc3339) }, "attempts": .int(Int64(progress.attempts)),
      "result": progress.result, "error": progress.error?.json, "late_outcome": progress.lateOutcome,
      "created_by": .string(createdBy),
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

import ConfigDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

/// `/api/v1/desired-state-bindings/plan`
struct PlanRoutes: Sendable {
  let service: ConfigService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await service.idempotency.once(request, context) { (plan: ConfigService.Plan) in
      .json(plan.json, status: 201)
    }
    let changes = try request.decode { $0.required("changes", JSONShape.change.array(1...100)) }
    let plan = try await service.plan(
      changes, in: context.organisation(request), by: .init(context), once)
    return try once.response(plan)
  }

  func apply(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let applied = try await service.apply(
      request.id("planId", of: "plan"), in: context.organisation(request), by: .init(context))
    return .json([
      "planId": .string(applied.id.text), "appliedAt": .string(applied.at.rfc3339),
      "bindings": .array(applied.bindings.map(\.json)),
      "removed": .array(applied.removed.map { .string($0.text) }),
    ])
  }
}

extension JSONShape where Value == ConfigService.ChangeRequest {
  static var change: JSONShape {
    .fields(
      ConfigService.ChangeRequest(
        target: .init(type: .device, id: ""), slot: "", artefactId: nil, priority: 0)
    ) { change in
      if !change.has("artefactId") { change.fail("artefactId", "is missing; null unbinds") }
      return ConfigService.ChangeRequest(
        target: change.required("target", .target), slot: change.required("slot", .slot),
        artefactId: change.optional("artefactId", .uuid),
        priority: change.optional("priority", .int(Int(Int32.min)...Int(Int32.max))) ?? 0)
    }
  }
}

extension ConfigService.Plan {
  var json: JSON {
    [
      "planId": .string(id.text), "expiresAt": .string(expiresAt.rfc3339),
      "devices": .array(items.map(\.json)), "total": .int(Int64(total)), "faults": .int(Int64(faults)),
    ]
  }
}

extension PlannedDifference {
  var json: JSON {
    .compact([
      "deviceId": .string(device.deviceId), "slot": .string(path),
      "before": before?.artefact.planned, "after": after?.artefact.planned,
      "fault": fault.map { .string($0) },
    ])
  }
}

extension ArtefactReference {
  fileprivate var planned: JSON { ["artefactId": .string(id.text), "version": .int(Int64(version))] }
}

import ConfigDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// Finds what would be wrong with the outcome of a plan: contents that do not fit the schemas as they are now, and documents that
/// are too large to be sent. What it has found of one device holds for all that get the same.
struct PlanJudge {
  let service: ConfigService
  let organisation: UUID
  let connection: PostgresConnection
  /// By artefact.
  private var contents: [UUID: String?] = [:]
  /// By the artefacts of a document.
  private var documents: [[String: UUID]: String?] = [:]

  init(service: ConfigService, organisation: UUID, connection: PostgresConnection) {
    (self.service, self.organisation, self.connection) = (service, organisation, connection)
  }

  /// - Parameter after: all that the device would have.
  mutating func judge(_ differences: inout [PlannedDifference], _ after: [String: Candidate]) async throws {
    guard !differences.isEmpty else { return }
    let document = try await fault(ofDocument: after)
    for index in differences.indices {
      guard let candidate = differences[index].after else { continue }
      differences[index].fault = try await fault(of: candidate.active) ?? document
    }
  }

  private mutating func fault(ofDocument after: [String: Candidate]) async throws -> String? {
    if after.count <= DeviceConfiguration.surelyFitting { return nil }
    let key = after.mapValues(\.artefact.id)
    if let known = documents[key] { return known }
    let contents = try await service.artefacts.contents(Array(Set(key.values)), connection)
    let bytes = DeviceConfiguration.documentBytes(of: after, contents: contents)
    let fault = DeviceConfiguration.fault(ofDocument: bytes)
    documents[key] = .some(fault)
    return fault
  }

  private mutating func fault(of active: ActiveBinding) async throws -> String? {
    if let known = contents[active.artefact.id] { return known }
    let fault = try await look(at: active)
    contents[active.artefact.id] = .some(fault)
    return fault
  }

  private func look(at active: ActiveBinding) async throws -> String? {
    do {
      guard
        let rule = try await service.schemas.rule(
          of: active.binding.slot, for: active.profile, in: organisation, on: connection),
        let content = try await service.content(of: active.artefact.id, connection)
      else { return nil }
      return Self.first(rule.faults(of: content, at: "", schema: "the profile's schema of this slot"))
    } catch let faults as JSONFaults {
      return Self.first(faults.faults)
    } catch let problem as Problem where problem.status == 422 { return Self.first(problem.errors) }
  }

  private static func first(_ faults: [JSONFault]) -> String? {
    faults.first.map { "\($0.pointer.isEmpty ? "the content" : $0.pointer) \($0.message)" }
  }
}

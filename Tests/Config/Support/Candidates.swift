import ConfigDomain
import FoundationEssentials
import Wire

/// Bindings out of nothing, for tests of decisions.
enum Some {
  static let time = Date(timeIntervalSince1970: 1_800_000_000)
  static let organisation = UUID()
  static let board = UUID()

  static func artefact(_ version: Int = 1, hash: String? = nil, id: UUID = UUID()) -> ArtefactReference {
    ArtefactReference(
      id: id, version: version, sha256: hash ?? "hash-\(version)", contentType: "application/json")
  }

  static func binding(
    _ type: TargetType = .device, of target: UUID = UUID(), slot: String = "wifi",
    profile: Profile = Profile(type: .device, id: board),
    priority: Int = 0, age: Double = 0, artefact: ArtefactReference = artefact(), id: UUID = UUID(),
    organisation: UUID = organisation
  ) -> ActiveBinding {
    let at = time - age
    return ActiveBinding(
      Binding(
        id: id, organisationId: organisation, target: Target(type: type, id: target), slot: slot,
        artefactId: artefact.id, version: artefact.version, priority: priority, rev: 1, createdAt: at,
        updatedAt: at,
        updatedBy: "test"), profile: profile, artefact: artefact)
  }

  static func candidate(
    _ type: TargetType = .device, path: String = "wifi", priority: Int = 0, age: Double = 0,
    artefact: ArtefactReference = artefact(), id: UUID = UUID()
  ) -> Candidate {
    Candidate(path: path, binding(type, priority: priority, age: age, artefact: artefact, id: id))
  }
}

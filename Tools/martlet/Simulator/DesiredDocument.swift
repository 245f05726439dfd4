import Crypto
import Wire

/// What a desired document asks of a device, looked at as a careful device would.
struct DesiredDocument: Sendable {
  /// One slot and what the device makes of it.
  struct Slot: Sendable, Equatable {
    let name: String
    let version: Int
    /// What the document says.
    let sha256: String
    let verdict: Verdict
  }

  /// Whether the content is what the document says that it is.
  enum Verdict: Sendable, Equatable {
    case right
    /// The hash of what came is another one.
    case wrongHash
    /// A large artefact: the document holds no content.
    case withoutContent
  }

  let revision: Int64
  let slots: [Slot]

  /// Reads it; nil if it is none.
  init?(_ payload: [UInt8]) {
    guard let json = try? JSON(parsing: payload), let revision = json["revision"]?.int,
      let members = json["slots"]?.object?.members
    else { return nil }
    self.revision = revision
    var slots: [Slot] = []
    for member in members {
      guard let version = member.value["version"]?.int, let sha256 = member.value["sha256"]?.string else {
        return nil
      }
      let verdict: Verdict =
        switch member.value["content"] {
        case let content?: SHA256.hash(data: content.canonicalBytes).hex == sha256 ? .right : .wrongHash
        case nil: .withoutContent
        }
      slots.append(Slot(name: member.name, version: Int(version), sha256: sha256, verdict: verdict))
    }
    self.slots = slots
  }

  /// What the device reports while it works.
  func inProgress() -> [UInt8] {
    Self.report(slots.map { ($0, .inProgress, nil) })
  }

  /// What it reports in the end.
  func final(fails: Bool) -> [UInt8] {
    Self.report(
      slots.map { slot in
        switch slot.verdict {
        case _ where fails: (slot, .failed, "told to fail")
        case .right: (slot, .accepted, nil)
        case .wrongHash: (slot, .rejected, "the content has another hash")
        case .withoutContent: (slot, .failed, "the simulator does not fetch large artefacts")
        }
      })
  }

  private static func report(_ slots: [(Slot, ReportedSlot.Status, String?)]) -> [UInt8] {
    let reported = slots.reduce(into: [String: ReportedSlot]()) { reported, entry in
      reported[entry.0.name] = ReportedSlot(
        version: entry.0.version, sha256: entry.0.sha256, status: entry.1, message: entry.2)
    }
    return Uplink.reported(reported).json.bytes
  }
}

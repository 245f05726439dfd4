import FoundationEssentials
import Wire

/// What a command waits for that has made or dropped a binding: its device's slots, as they came out of it. Pure: it is held
/// against the device's configuration whenever that changes.
public struct BindingFollow: Sendable, Equatable {
  /// How far the command is, as it was last told.
  public enum Stage: Int, Sendable {
    case begun, sent, acknowledged
  }

  /// The revision in which all of `slots` are as they should be.
  public let revision: Int64
  /// The hash that the device should have, by path; nil where nothing is left.
  public let slots: [String: String?]
  public private(set) var stage: Stage

  public init(revision: Int64, slots: [String: String?], stage: Stage = .begun) {
    (self.revision, self.slots, self.stage) = (revision, slots, stage)
  }

  /// What is waited for at these paths.
  public init(_ paths: [String], of configuration: DeviceConfiguration) {
    let found = paths.map { ($0, configuration.slots[$0]) }
    let isSomethingLeft = found.allSatisfy { $0.1 != nil }
    self.init(
      revision: isSomethingLeft ? found.compactMap { $0.1?.since }.max() ?? 0 : configuration.revision,
      slots: Dictionary(found.map { ($0.0, $0.1?.artefact.sha256) }, uniquingKeysWith: { $1 }))
  }

  /// What is to be told of a command.
  public enum Step: Sendable, Equatable {
    case sent
    case acknowledged
    /// Its end.
    case succeeded
    /// Its end.
    case failed(CommandFault, isByDevice: Bool)
  }

  /// What there is to tell, in order, of a device that is so far now.
  ///
  /// A device says of each slot of its document how it is with it. That a slot is gone it has no word for: there it counts that
  /// the broker has the document without it and the device is connected.
  /// - Parameter isOnline: whether the device is connected, as far as anybody knows.
  public mutating func look(at configuration: DeviceConfiguration, isOnline: Bool) -> [Step] {
    let isDelivered = configuration.delivery.publishedRevision >= revision
    var isDone = true
    var isAtWork = false
    for (path, hash) in slots.sorted(by: { $0.key < $1.key }) {
      let slot = configuration.slots[path]
      guard slot?.artefact.sha256 == hash else {
        let message = "Something else was bound for \(path) meanwhile."
        return [.failed(CommandFault(code: "superseded", message: message), isByDevice: false)]
      }
      guard let slot else {
        isDone = isDone && isDelivered && isOnline
        continue
      }
      let state = configuration.state(of: slot, isOnline: true)
      switch state.status {
      case .pending: isDone = false
      case .inProgress: (isDone, isAtWork) = (false, true)
      case .accepted: isAtWork = true
      case .rejected, .failed:
        // A version counts from 1 for each profile: what was reported before may have had the same number.
        if state.reason == .hashMismatch, let report = slot.report, report.at < slot.sinceAt {
          isDone = false
          continue
        }
        return told(.sent, .sent) + [.failed(Self.fault(path, state, slot.report), isByDevice: true)]
      }
    }
    if isDone { return told(.sent, .sent) + [.succeeded] }
    if isAtWork { return told(.sent, .sent) + told(.acknowledged, .acknowledged) }
    return isDelivered ? told(.sent, .sent) : []
  }

  private mutating func told(_ next: Stage, _ step: Step) -> [Step] {
    guard stage.rawValue < next.rawValue else { return [] }
    stage = next
    return [step]
  }

  private static func fault(_ path: String, _ state: SlotState, _ report: Report?) -> CommandFault {
    let standard =
      switch state.reason {
      case .hashMismatch: "The device has something else under this version of \(path)."
      case .rejected: "The device will not have it as \(path)."
      default: "The device could not put it in force as \(path)."
      }
    return CommandFault(
      code: state.reason?.rawValue ?? "failed", message: report?.slot.message ?? standard)
  }
}

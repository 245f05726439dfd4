import FoundationEssentials
import Wire

/// Something that happened to a command, with what came along.
public struct CommandOccurrence: Sendable, Equatable {
  public let event: CommandEvent
  public let at: Date
  public let result: JSON?
  public let error: CommandFault?
  /// Why, for the timeline.
  public let detail: String?

  public init(
    _ event: CommandEvent, at: Date, result: JSON? = nil, error: CommandFault? = nil, detail: String? = nil
  ) {
    (self.event, self.at, self.result, self.error, self.detail) = (event, at, result, error, detail)
  }

  /// What a device's answer is to the lifecycle.
  public init(_ answer: CommandAnswer, at: Date) {
    let event: CommandEvent =
      switch answer.status {
      case .acknowledged: .acknowledged
      case .success: .succeeded
      case .failed: .failed
      }
    self.init(event, at: at, result: answer.result, error: answer.error)
  }
}

extension CommandOccurrence {
  fileprivate func notBefore(_ time: Date?) -> CommandOccurrence {
    guard let time, at < time else { return self }
    return CommandOccurrence(event, at: time, result: result, error: error, detail: detail)
  }
}

extension CommandProgress {
  /// Applies one occurrence; pure, with the time as part of it. What is told by different ways may be told a moment out of
  /// order: a story's times never go back.
  /// - Returns: what it came to. Unless it was ignored, `rev` has grown and the timeline has one entry more.
  public mutating func apply(_ occurrence: CommandOccurrence, timeouts: Timeouts) -> CommandOutcome {
    let outcome = Lifecycle.outcome(status, occurrence.event)
    // An answer that is kept already is not replaced by a repeat or by an older one.
    if outcome == .late, lateOutcome != nil, occurrence.event == .acknowledged || lateIsFinal {
      return .ignored
    }
    let occurrence = occurrence.notBefore(acknowledgedAt ?? sentAt)
    switch outcome {
    case .moves(let next): move(to: next, occurrence, timeouts)
    case .noted: if occurrence.event == .sent, sentAt == nil { sentAt = acknowledgedAt ?? occurrence.at }
    case .late: lateOutcome = Self.lateOutcome(occurrence)
    case .ignored: return outcome
    }
    if occurrence.event == .dispatched { attempts += 1 }
    rev += 1
    timeline.append(
      TimelineEntry(
        at: occurrence.at, event: occurrence.event.rawValue, status: status, detail: occurrence.detail))
    return outcome
  }

  private mutating func move(to next: CommandStatus, _ occurrence: CommandOccurrence, _ timeouts: Timeouts) {
    status = next
    deadline = timeouts.deadline(next, since: occurrence.at)
    switch next {
    case .pending: break
    case .sent: sentAt = occurrence.at
    case .acknowledged: acknowledgedAt = occurrence.at
    case .success:
      completedAt = occurrence.at
      result = occurrence.result
    case .failed where occurrence.event == .deviceDeleted:
      completedAt = occurrence.at
      error = CommandFault(code: Self.deviceDeleted, message: "The device was deleted.")
      reason = Self.deviceDeleted
    case .failed:
      completedAt = occurrence.at
      result = occurrence.result
      error = occurrence.error ?? CommandFault(code: "failed", message: "The device gave no reason.")
      reason = "device"
    case .timeout:
      completedAt = occurrence.at
      reason = sentAt == nil ? "notDelivered" : acknowledgedAt == nil ? "notAcknowledged" : "notCompleted"
    }
  }

  private static let deviceDeleted = "deviceDeleted"

  private var lateIsFinal: Bool { lateOutcome?["status"]?.string != DeviceStatus.acknowledged.rawValue }

  private static func lateOutcome(_ occurrence: CommandOccurrence) -> JSON {
    let status: DeviceStatus =
      switch occurrence.event {
      case .succeeded: .success
      case .failed: .failed
      default: .acknowledged
      }
    return .compact([
      "status": .string(status.rawValue), "at": .string(occurrence.at.rfc3339), "result": occurrence.result,
      "error": occurrence.error?.json,
    ])
  }
}

import FoundationEssentials
import Wire

/// Something that happened to a command, with what came along.
public struct CommandOccurrence: Sendable, Equatable {
  public let event: CommandEvent
  public let at: Date
  public let result: JSON?
  public let error: CommandFault?
  public let progress: CommandProgress?
  /// Why, for the timeline.
  public let detail: String?
  /// The replica that saw it, where that is not the one that notes it.
  public let replica: String?

  public init(
    _ event: CommandEvent, at: Date, result: JSON? = nil, error: CommandFault? = nil,
    progress: CommandProgress? = nil, detail: String? = nil, replica: String? = nil
  ) {
    (self.event, self.at, self.result, self.error, self.detail) = (event, at, result, error, detail)
    (self.progress, self.replica) = (progress, replica)
  }

  /// What config's answer is to the lifecycle.
  public init(_ answer: BindingAnswer, at: Date) {
    let event: CommandEvent =
      switch answer.status {
      case .sent: .sent
      case .acknowledged: .acknowledged
      case .success: .succeeded
      case .failed: .failed
      }
    self.init(
      event, at: at, result: answer.result, error: answer.error,
      detail: answer.isByDevice ? nil : answer.error?.code)
  }

  /// What a device's answer is to the lifecycle.
  public init(_ answer: CommandAnswer, at: Date) {
    let event: CommandEvent =
      switch answer.status {
      case .acknowledged: .acknowledged
      case .progress: .progressed
      case .success: .succeeded
      case .failed: .failed
      }
    self.init(event, at: at, result: answer.result, error: answer.error, progress: answer.progress)
  }
}

extension CommandEvent {
  /// Whether it is one of handing the command over.
  fileprivate var isOfAttempt: Bool { self == .dispatched || self == .sent || self == .undelivered }
}

extension CommandOccurrence {
  fileprivate func notBefore(_ time: Date?) -> CommandOccurrence {
    guard let time, at < time else { return self }
    return CommandOccurrence(
      event, at: time, result: result, error: error, progress: progress, detail: detail, replica: replica)
  }
}

extension CommandState {
  /// Applies one occurrence; pure, with the time as part of it. What is told by different ways may be told a moment out of
  /// order: a story's times never go back.
  /// - Parameter replica: the one that notes it.
  /// - Returns: what it came to. Unless it was ignored, `rev` has grown and the timeline has one entry more; progress, of which
  ///   only the newest is kept, has no entry.
  public mutating func apply(
    _ occurrence: CommandOccurrence, timeouts: Timeouts, by replica: String? = nil
  ) -> CommandOutcome {
    let outcome = Lifecycle.outcome(status, occurrence.event)
    if outcome == .late, isAnswered || hasLate(occurrence.event) { return .ignored }
    if occurrence.event == .heard, !awaitsDevice { return .ignored }
    let occurrence = occurrence.notBefore(acknowledgedAt ?? sentAt)
    switch outcome {
    case .moves(let next): move(to: next, occurrence, timeouts)
    case .noted: note(occurrence, timeouts)
    case .late: lateOutcome = Self.lateOutcome(occurrence)
    case .progresses:
      keep(occurrence, timeouts)
      rev += 1
      return outcome
    case .ignored: return outcome
    }
    if occurrence.event == .dispatched { attempts += 1 }
    rev += 1
    timeline.append(
      TimelineEntry(
        at: occurrence.at, event: occurrence.event.rawValue, status: status,
        attempt: occurrence.event.isOfAttempt && attempts > 0 ? attempts : nil,
        replica: occurrence.replica ?? replica, detail: occurrence.detail))
    return outcome
  }

  private mutating func note(_ occurrence: CommandOccurrence, _ timeouts: Timeouts) {
    switch occurrence.event {
    case .sent: if sentAt == nil { sentAt = acknowledgedAt ?? occurrence.at }
    case .heard:
      awaitsDevice = false
      deadline = timeouts.deadline(status, since: occurrence.at)
    default: break
    }
  }

  private mutating func move(to next: CommandStatus, _ occurrence: CommandOccurrence, _ timeouts: Timeouts) {
    status = next
    deadline = timeouts.deadline(next, since: occurrence.at)
    switch next {
    case .pending: break
    case .sent: sentAt = occurrence.at
    case .acknowledged:
      acknowledgedAt = occurrence.at
      if occurrence.event == .progressed { keep(occurrence, timeouts) }
    case .success:
      completedAt = occurrence.at
      result = occurrence.result
    case .failed:
      completedAt = occurrence.at
      fail(occurrence)
    case .timeout:
      completedAt = occurrence.at
      reason = timeoutReason
    }
  }

  private var timeoutReason: String {
    if awaitsDevice { return "notHeard" }
    if acknowledgedAt != nil { return "notCompleted" }
    return sentAt != nil ? "notAcknowledged" : "notDelivered"
  }

  private mutating func keep(_ occurrence: CommandOccurrence, _ timeouts: Timeouts) {
    progress = .compact([
      "percent": occurrence.progress?.percent.map { .double($0) },
      "step": occurrence.progress?.step.map { .string($0) }, "at": .string(occurrence.at.rfc3339),
    ])
    // Reports may come a moment out of order, and never make the time shorter.
    deadline = [deadline, timeouts.deadline(.acknowledged, since: occurrence.at)].compactMap(\.self).max()
  }

  private mutating func fail(_ occurrence: CommandOccurrence) {
    switch occurrence.event {
    case .deviceDeleted: giveUp("deviceDeleted", "The device was deleted.")
    case .cancelled: giveUp("cancelled", "It was cancelled before the broker had it.")
    case .deleted: giveUp("cancelled", "It was deleted before its end.")
    default:
      result = occurrence.result
      error = occurrence.error ?? CommandFault(code: "failed", message: "The device gave no reason.")
      reason = occurrence.detail ?? Self.byDevice
    }
  }

  private mutating func giveUp(_ why: String, _ message: String) {
    error = CommandFault(code: why, message: message)
    reason = why
  }

  /// The reason of what the device itself said.
  private static let byDevice = "device"

  /// The reasons of what was given up before there was an answer.
  private static let givenUp = ["deviceDeleted", "cancelled"]

  /// Whether it is FAILED because the device, or config, said so: then all that comes after is a repeat.
  private var isAnswered: Bool { status == .failed && !Self.givenUp.contains(reason ?? "") }

  /// An answer that is kept already is not replaced by a repeat or by an older one.
  private func hasLate(_ event: CommandEvent) -> Bool {
    guard let status = lateOutcome?["status"]?.string else { return false }
    let isWord = event == .acknowledged || event == .progressed
    return isWord || ![DeviceStatus.acknowledged, .progress].map(\.rawValue).contains(status)
  }

  private static func lateOutcome(_ occurrence: CommandOccurrence) -> JSON {
    let status: DeviceStatus =
      switch occurrence.event {
      case .succeeded: .success
      case .failed: .failed
      case .progressed: .progress
      default: .acknowledged
      }
    return .compact([
      "status": .string(status.rawValue), "at": .string(occurrence.at.rfc3339), "result": occurrence.result,
      "error": occurrence.error?.json,
    ])
  }
}

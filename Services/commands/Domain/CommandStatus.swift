/// Where a command is in its life (SPEC, section 4).
public enum CommandStatus: String, Sendable, CaseIterable {
  /// Accepted and durable, not yet at the broker. Can go to every other status.
  case pending = "PENDING"
  /// The MQTT broker has it (PUBACK). Can go to ACKNOWLEDGED, SUCCESS, FAILED, TIMEOUT.
  case sent = "SENT"
  /// The device has it. Can go to SUCCESS, FAILED, TIMEOUT.
  case acknowledged = "ACKNOWLEDGED"
  /// The device did it. Final.
  case success = "SUCCESS"
  /// The device could not do it, or it was given up (`reason` says why). Final.
  case failed = "FAILED"
  /// The device did not answer by the deadline. Final; a later answer is kept beside it.
  case timeout = "TIMEOUT"

  /// Whether it can still move.
  public var isOpen: Bool {
    switch self {
    case .pending, .sent, .acknowledged: true
    case .success, .failed, .timeout: false
    }
  }

  /// Whether its device may not have it: then it is given its turn again when the device or the broker comes back.
  public var mayBeLost: Bool { self == .pending || self == .sent }
}

/// What can happen to a command. Time is one of them: a deadline passes.
public enum CommandEvent: String, Sendable, CaseIterable {
  /// The broker has confirmed it.
  case sent
  /// The broker said that nobody listens on the device's topic, or did not take it.
  case undelivered
  /// The device says that it has it.
  case acknowledged
  /// The device says that it did it.
  case succeeded
  /// The device says that it could not.
  case failed
  /// The deadline of its present status has passed.
  case deadlinePassed
  /// It was handed to the bridge: its turn has come, or its device or the broker came back.
  case dispatched
  /// Its device is no more.
  case deviceDeleted
  /// A user gave it up.
  case cancelled
  /// The device says how far it is.
  case progressed
  /// A user has had it made once more, as another command.
  case retried
  /// A user deletes it.
  case deleted
  /// The device was heard from for which it was held.
  case heard
}

/// What an event does to a command.
public enum CommandOutcome: Sendable, Equatable {
  /// It goes on to that status.
  case moves(to: CommandStatus)
  /// It stays, but this is worth keeping: in its timeline, with its time.
  case noted
  /// It is final without the device's answer, which is kept as `lateOutcome`.
  case late
  /// It stays, the device is at it: the newest progress is kept, and the deadline moves on.
  case progresses
  /// Nothing: a repeat, or out of order.
  case ignored
}

/// The lifecycle: every status against every event. Total, pure, and it only moves forward.
public enum Lifecycle {
  public static func outcome(_ status: CommandStatus, _ event: CommandEvent) -> CommandOutcome {
    switch (status, event) {
    case (.pending, .sent): .moves(to: .sent)
    case (.pending, .undelivered): .noted
    case (.pending, .acknowledged): .moves(to: .acknowledged)
    case (.pending, .succeeded): .moves(to: .success)
    case (.pending, .failed): .moves(to: .failed)
    case (.pending, .deadlinePassed): .moves(to: .timeout)
    case (.pending, .dispatched): .noted
    case (.pending, .deviceDeleted): .moves(to: .failed)
    // The bridge may have it in hand: then it may still reach the device, whose answer is late.
    case (.pending, .cancelled): .moves(to: .failed)
    // Who is at work has it.
    case (.pending, .progressed): .moves(to: .acknowledged)
    case (.pending, .retried): .ignored
    // What is deleted ends first.
    case (.pending, .deleted): .moves(to: .failed)
    // From now on it is to be delivered: that time begins.
    case (.pending, .heard): .noted

    // A redelivery's PUBACK: the broker has it once more.
    case (.sent, .sent): .noted
    // Delivered once, nobody there the second time: it stays SENT, its deadline decides.
    case (.sent, .undelivered): .noted
    case (.sent, .acknowledged): .moves(to: .acknowledged)
    case (.sent, .succeeded): .moves(to: .success)
    case (.sent, .failed): .moves(to: .failed)
    case (.sent, .deadlinePassed): .moves(to: .timeout)
    case (.sent, .dispatched): .noted
    case (.sent, .deviceDeleted): .moves(to: .failed)
    // The device may be at it, and nothing calls it back.
    case (.sent, .cancelled): .ignored
    case (.sent, .progressed): .moves(to: .acknowledged)
    case (.sent, .retried): .ignored
    case (.sent, .deleted): .moves(to: .failed)
    case (.sent, .heard): .ignored

    // The answer overtook the bridge's own report.
    case (.acknowledged, .sent): .noted
    case (.acknowledged, .undelivered): .ignored
    case (.acknowledged, .acknowledged): .ignored
    case (.acknowledged, .succeeded): .moves(to: .success)
    case (.acknowledged, .failed): .moves(to: .failed)
    case (.acknowledged, .deadlinePassed): .moves(to: .timeout)
    case (.acknowledged, .dispatched): .ignored
    case (.acknowledged, .deviceDeleted): .moves(to: .failed)
    case (.acknowledged, .cancelled): .ignored
    case (.acknowledged, .progressed): .progresses
    case (.acknowledged, .retried): .ignored
    case (.acknowledged, .deleted): .moves(to: .failed)
    case (.acknowledged, .heard): .ignored

    case (.success, .sent), (.failed, .sent): .noted
    // Its last event, with which it goes.
    case (.success, .deleted), (.failed, .deleted), (.timeout, .deleted): .noted
    // Only what has come to nothing.
    case (.failed, .retried), (.timeout, .retried): .noted
    case (.success, .undelivered), (.success, .acknowledged), (.success, .succeeded), (.success, .failed),
      (.success, .deadlinePassed), (.success, .dispatched), (.success, .deviceDeleted),
      (.success, .cancelled), (.success, .progressed), (.success, .retried), (.success, .heard):
      .ignored

    // Late where it was given up; a repeat where the device's answer has made it so (`CommandState.apply`).
    case (.failed, .acknowledged), (.failed, .succeeded), (.failed, .failed), (.failed, .progressed): .late
    case (.failed, .undelivered), (.failed, .deadlinePassed), (.failed, .dispatched),
      (.failed, .deviceDeleted), (.failed, .cancelled), (.failed, .heard):
      .ignored

    case (.timeout, .acknowledged), (.timeout, .succeeded), (.timeout, .failed), (.timeout, .progressed):
      .late
    case (.timeout, .sent), (.timeout, .undelivered), (.timeout, .deadlinePassed), (.timeout, .dispatched),
      (.timeout, .deviceDeleted), (.timeout, .cancelled), (.timeout, .heard):
      .ignored
    }
  }
}

import FoundationEssentials
import Wire

/// What never changes of a command and is needed wherever it moves.
public struct CommandHead: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let deviceId: String
  public let type: String
  public let lane: String
  public let timeouts: Timeouts
  /// The story that it belongs to, handed on with everything that it causes.
  public let traceparent: String?

  public init(
    id: UUID, organisationId: UUID, deviceId: String, type: String, lane: String, timeouts: Timeouts,
    traceparent: String?
  ) {
    (self.id, self.organisationId, self.deviceId) = (id, organisationId, deviceId)
    (self.type, self.lane, self.timeouts, self.traceparent) = (type, lane, timeouts, traceparent)
  }
}

/// One command, whole.
public struct Command: Sendable, Equatable {
  public let head: CommandHead
  public let hardwareId: String
  public let deviceType: String?
  public let params: JSON
  public let createdAt: Date
  public let createdBy: String
  public var progress: CommandProgress

  public init(
    head: CommandHead, hardwareId: String, deviceType: String?, params: JSON, createdAt: Date,
    createdBy: String,
    progress: CommandProgress
  ) {
    (self.head, self.hardwareId, self.deviceType, self.params) = (head, hardwareId, deviceType, params)
    (self.createdAt, self.createdBy, self.progress) = (createdAt, createdBy, progress)
  }

  /// The MQTT topic on which its device gets it.
  public var topic: String { DeviceTopic.command.of(head.deviceId) }
}

/// The part of a command that moves.
public struct CommandProgress: Sendable, Equatable {
  public var status: CommandStatus
  /// Why it is FAILED or TIMEOUT, in a word.
  public var reason: String?
  public var sentAt: Date?
  public var acknowledgedAt: Date?
  public var completedAt: Date?
  /// When it becomes TIMEOUT; nil when it is final.
  public var deadline: Date?
  /// How often it was handed to the bridge.
  public var attempts: Int
  public var result: JSON?
  public var error: CommandFault?
  /// What the device said after TIMEOUT.
  public var lateOutcome: JSON?
  /// Grows by one with each change.
  public var rev: Int64
  /// Its story: the whole of it where a command was read whole, else what has come since it was read.
  public var timeline: [TimelineEntry]

  /// A new one.
  public init(createdAt: Date, timeouts: Timeouts, by name: String) {
    status = .pending
    attempts = 0
    rev = 1
    deadline = timeouts.deadline(.pending, since: createdAt)
    timeline = [TimelineEntry(at: createdAt, event: "created", status: .pending, detail: name)]
  }

  public init(
    status: CommandStatus, reason: String?, sentAt: Date?, acknowledgedAt: Date?, completedAt: Date?,
    deadline: Date?,
    attempts: Int, result: JSON?, error: CommandFault?, lateOutcome: JSON?, rev: Int64,
    timeline: [TimelineEntry]
  ) {
    (self.status, self.reason, self.sentAt, self.acknowledgedAt) = (status, reason, sentAt, acknowledgedAt)
    (self.completedAt, self.deadline, self.attempts, self.result) = (completedAt, deadline, attempts, result)
    (self.error, self.lateOutcome, self.rev, self.timeline) = (error, lateOutcome, rev, timeline)
  }
}

/// One line of a command's story.
public struct TimelineEntry: Sendable, Equatable {
  public let at: Date
  /// An event's name, or `created`.
  public let event: String
  /// The status from then on.
  public let status: CommandStatus
  /// Who or why, where there is more to say.
  public let detail: String?

  public init(at: Date, event: String, status: CommandStatus, detail: String? = nil) {
    (self.at, self.event, self.status, self.detail) = (at, event, status, detail)
  }
}

import FoundationEssentials
import Wire

/// One command, as it is stored.
public struct Command: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let deviceId: String
  public let hardwareId: String
  public let deviceType: String?
  public let type: String
  public let params: JSON
  public let lane: String
  public let createdAt: Date
  public let createdBy: String
  public let timeouts: Timeouts
  /// The story that it belongs to, handed on with everything that it causes.
  public let traceparent: String?
  public var progress: CommandProgress

  public init(
    id: UUID, organisationId: UUID, deviceId: String, hardwareId: String, deviceType: String?, type: String,
    params: JSON, lane: String, createdAt: Date, createdBy: String, timeouts: Timeouts, traceparent: String?,
    progress: CommandProgress
  ) {
    (self.id, self.organisationId, self.deviceId) = (id, organisationId, deviceId)
    (self.hardwareId, self.deviceType, self.type, self.params) = (hardwareId, deviceType, type, params)
    (self.lane, self.createdAt, self.createdBy, self.timeouts) = (lane, createdAt, createdBy, timeouts)
    (self.traceparent, self.progress) = (traceparent, progress)
  }

  /// The MQTT topic on which its device gets it.
  public var topic: String { DeviceTopic.command.of(deviceId) }
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
    status: CommandStatus, reason: String?, sentAt: Date?, acknowledgedAt: Date?, completedAt: Date?, deadline: Date?,
    attempts: Int, result: JSON?, error: CommandFault?, lateOutcome: JSON?, rev: Int64, timeline: [TimelineEntry]
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

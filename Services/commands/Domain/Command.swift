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

extension CommandHead {
  /// What config does for it; nil for a command that goes to its device.
  public var action: BindingRequest.Action? { BindingRequest.Action(rawValue: type) }

  /// How long it can be open, in seconds, from when it is handed over.
  public var longest: TimeInterval {
    TimeInterval(timeouts.deliver + timeouts.acknowledge + timeouts.complete)
  }
}

/// One command, whole.
public struct Command: Sendable, Equatable {
  public let head: CommandHead
  public let hardwareId: String
  public let deviceType: String?
  public let params: JSON
  public let delivery: Delivery
  /// Which device's it is: a deviceId may be given again. Nil for one from before that was kept.
  public let deviceRecord: UUID?
  public let createdAt: Date
  public let createdBy: String
  /// The command for which this one was made once more.
  public let retryOf: UUID?
  /// The newest that was made for this one.
  public let retriedBy: UUID?
  /// The campaign that it is a part of.
  public let bulkId: UUID?
  /// What it is for a device with a protocol of its own; nil for the native one.
  public let own: OwnCommand?
  public var state: CommandState
  /// Whether its device was connected when it was made; only where it has just been.
  public var deviceOnline: DevicePresence?

  public init(
    head: CommandHead, hardwareId: String, deviceType: String?, params: JSON, delivery: Delivery = .init(),
    deviceRecord: UUID? = nil, createdAt: Date, createdBy: String, retryOf: UUID? = nil,
    retriedBy: UUID? = nil, bulkId: UUID? = nil, own: OwnCommand? = nil, state: CommandState
  ) {
    (self.head, self.hardwareId, self.deviceType, self.params) = (head, hardwareId, deviceType, params)
    (self.delivery, self.deviceRecord) = (delivery, deviceRecord)
    (self.createdAt, self.createdBy, self.state) = (createdAt, createdBy, state)
    (self.retryOf, self.retriedBy, self.bulkId) = (retryOf, retriedBy, bulkId)
    self.own = own
  }

  /// Whether it is that device's, and not of one that had its deviceId before.
  public func isOf(_ device: DeviceEntity) -> Bool {
    head.deviceId == device.deviceId && deviceRecord ?? device.id == device.id
  }

  /// The MQTT topic on which its device gets it, or what becomes of it.
  public var topic: String {
    own?.topic ?? (head.action == nil ? DeviceTopic.command : .desired).of(head.deviceId)
  }
}

/// When a command may go to its device, beside its place in its lane.
public struct Delivery: Sendable, Equatable {
  /// The next of its lane waits for its end.
  public let isExclusive: Bool
  /// It is held until its device is next heard from, at most so long, in milliseconds; nil if it is not held.
  public let waitMilliseconds: Int64?

  public init(isExclusive: Bool = false, waitMilliseconds: Int64? = nil) {
    (self.isExclusive, self.waitMilliseconds) = (isExclusive, waitMilliseconds)
  }

  /// 1 ms to 30 days, as the longest of a command's other times.
  public static let waits = 1...(30 * 86_400_000)
}

/// Whether a device is connected, as far as is known.
public struct DevicePresence: Sendable, Equatable {
  public let online: Bool
  /// When that became so; nil for one never heard from.
  public let since: Date?

  public init(online: Bool, since: Date?) { (self.online, self.since) = (online, since) }

  /// Of a device never heard from.
  public static let unknown = DevicePresence(online: false, since: nil)
}

/// The part of a command that moves.
public struct CommandState: Sendable, Equatable {
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
  /// Whether it is held until its device is heard from.
  public var awaitsDevice: Bool
  /// What the device said after its end.
  public var lateOutcome: JSON?
  /// What the device last said of how far it is, `{percent?, step?, at}`. Where a command was not read whole: what has come
  /// since it was read.
  public var progress: JSON?
  /// Grows by one with each change.
  public var rev: Int64
  /// Its story: the whole of it where a command was read whole, else what has come since it was read.
  public var timeline: [TimelineEntry]

  /// A new one. Where it is held until its device is heard from, that is its first deadline; the time to deliver it begins then.
  public init(
    createdAt: Date, timeouts: Timeouts, delivery: Delivery = .init(), by name: String, replica: String? = nil
  ) {
    status = .pending
    attempts = 0
    rev = 1
    awaitsDevice = delivery.waitMilliseconds != nil
    deadline =
      delivery.waitMilliseconds.map { createdAt.addingTimeInterval(Double($0) / 1000) }
      ?? timeouts.deadline(.pending, since: createdAt)
    timeline = [
      TimelineEntry(at: createdAt, event: "created", status: .pending, replica: replica, detail: name)
    ]
  }

  public init(
    status: CommandStatus, reason: String?, sentAt: Date?, acknowledgedAt: Date?, completedAt: Date?,
    deadline: Date?,
    attempts: Int, result: JSON?, error: CommandFault?, awaitsDevice: Bool = false, lateOutcome: JSON?,
    progress: JSON? = nil, rev: Int64, timeline: [TimelineEntry]
  ) {
    (self.status, self.reason, self.sentAt, self.acknowledgedAt) = (status, reason, sentAt, acknowledgedAt)
    (self.completedAt, self.deadline, self.attempts, self.result) = (completedAt, deadline, attempts, result)
    (self.error, self.lateOutcome, self.rev, self.timeline) = (error, lateOutcome, rev, timeline)
    (self.progress, self.awaitsDevice) = (progress, awaitsDevice)
  }
}

/// One line of a command's story.
public struct TimelineEntry: Sendable, Equatable {
  public let at: Date
  /// An event's name, or `created`.
  public let event: String
  /// The status from then on.
  public let status: CommandStatus
  /// How often it had been handed to the bridge by then, where it is of that: 1 is the first.
  public let attempt: Int?
  /// Who noted it: a replica of the commands service, or of the bridge for what the bridge saw.
  public let replica: String?
  /// Who or why, where there is more to say.
  public let detail: String?

  public init(
    at: Date, event: String, status: CommandStatus, attempt: Int? = nil, replica: String? = nil,
    detail: String? = nil
  ) {
    (self.at, self.event, self.status, self.detail) = (at, event, status, detail)
    (self.attempt, self.replica) = (attempt, replica)
  }
}

import FoundationEssentials

/// What a device said, or what became of a downlink: the values on `martlet.device.uplink`, keyed by deviceId.
///
/// What devices say travels as they sent it: the bridge has checked it, and each service reads its own part.
public enum Uplink: Sendable, Equatable {
  /// `command/status`: the device's answer to a command.
  case status(CommandAnswer)
  /// `reported`: what the device has applied, by slot.
  case reported([String: ReportedSlot])
  /// `artefact/get`: where a large artefact is to be had, by its hash.
  case artefactRequest(sha256: String)
  /// `state`: attributes, and perhaps a route and a time.
  case state(DeviceState)
  /// `presence`: the device itself, or its will.
  case presence(online: Bool)
  /// The last `presence` that the broker has kept, as it gives it to a subscriber that is new: what was once said, by
  /// nobody now.
  case retainedPresence(online: Bool)
  /// From the bridge: the broker has the command (PUBACK). `by` names the replica, as `bridge-1`.
  case sent(id: UUID, by: String? = nil)
  /// From the bridge: the broker took it, but nobody listens on the device's topic; or it came too late to send.
  case undelivered(id: UUID, reason: Undelivered, by: String? = nil)
  /// From the bridge: the desired document that the broker keeps is of that revision now, as the broker itself told;
  /// an older one after a newer means that it went back.
  case published(revision: Int64)
  /// From the bridge: it is connected to the broker anew, which may have forgotten what it had not delivered. All of them
  /// have one key, so the offset of the record orders them: it is the connection's epoch (`CommandTurn`).
  case brokerConnected
  /// From config: what has become of a binding that a command asked for.
  case followed(BindingAnswer)
  /// On a topic of the device's own (SPEC, section 6.3): whose it is, and what it means, is for the commands service to say. The
  /// key of its record is the topic, so that what comes on one stays in order.
  case answer(OwnAnswer)
  /// On a topic of the device, and set aside since it cannot be understood: it came from the device all the same.
  case unreadable

  /// The same, told by a replica of the bridge, where it is of a command's delivery.
  public func seen(by replica: String) -> Uplink {
    switch self {
    case .sent(let id, _): .sent(id: id, by: replica)
    case .undelivered(let id, let reason, _): .undelivered(id: id, reason: reason, by: replica)
    default: self
    }
  }
}

/// Why a command is not SENT.
public enum Undelivered: String, Sendable, CaseIterable {
  /// The broker answered that nobody subscribes (MQTT 5 reason 16).
  case noSubscriber
  /// Its `deliverBy` had passed when its turn came.
  case expired
  /// The broker refused the message.
  case refused
  /// It was not tried: one of its device that goes before it was not delivered, or the bridge's connection is newer than its
  /// turn.
  case held
  /// It was not tried: the bridge does not hear yet what the device would answer.
  case deaf
}

/// The status words of devices (`command/status`).
public enum DeviceStatus: String, Sendable, CaseIterable {
  case acknowledged = "ACKNOWLEDGED"
  /// It is at work, and how far.
  case progress = "PROGRESS"
  case success = "SUCCESS"
  case failed = "FAILED"
}

/// A device's answer to a command.
public struct CommandAnswer: Sendable, Equatable {
  public let id: UUID
  public let status: DeviceStatus
  public let result: JSON?
  public let error: CommandFault?
  /// With PROGRESS only.
  public let progress: CommandProgress?

  public init(
    id: UUID, status: DeviceStatus, result: JSON? = nil, error: CommandFault? = nil,
    progress: CommandProgress? = nil
  ) {
    (self.id, self.status, self.result, self.error) = (id, status, result, error)
    self.progress = progress
  }

  var json: JSON {
    .compact([
      "id": .string(id.text), "status": .string(status.rawValue),
      "percent": progress?.percent.map { .double($0) }, "step": progress?.step.map { .string($0) },
      "result": result, "error": error?.json,
    ])
  }
}

/// How far a device is with a command.
public struct CommandProgress: Sendable, Equatable {
  /// 0 to 100.
  public let percent: Double?
  /// In the firmware's words.
  public let step: String?

  public init(percent: Double? = nil, step: String? = nil) { (self.percent, self.step) = (percent, step) }
}

/// What went wrong on the device.
public struct CommandFault: Sendable, Equatable {
  public let code: String
  public let message: String

  public init(code: String, message: String) { (self.code, self.message) = (code, message) }

  public var json: JSON { ["code": .string(code), "message": .string(message)] }
}

/// What a device says of one slot.
public struct ReportedSlot: Sendable, Equatable {
  /// The status words of `reported`.
  public enum Status: String, Sendable, CaseIterable {
    case inProgress = "IN_PROGRESS"
    case accepted = "ACCEPTED"
    case rejected = "REJECTED"
    case failed = "FAILED"
  }

  public let version: Int
  public let sha256: String
  public let status: Status
  public let message: String?

  public init(version: Int, sha256: String, status: Status, message: String? = nil) {
    (self.version, self.sha256, self.status, self.message) = (version, sha256, status, message)
  }

  var json: JSON {
    .compact([
      "version": .int(Int64(version)), "sha256": .string(sha256), "status": .string(status.rawValue),
      "message": message.map { .string($0) },
    ])
  }
}

/// What a device says of itself.
public struct DeviceState: Sendable, Equatable {
  /// Any attributes, without `route` and `at`.
  public let attributes: JSONObject
  /// The device's own route (SPEC, section 2), as sent.
  public let route: JSON?
  /// When the device measured it.
  public let at: Date?

  public init(attributes: JSONObject, route: JSON? = nil, at: Date? = nil) {
    (self.attributes, self.route, self.at) = (attributes, route, at)
  }
}

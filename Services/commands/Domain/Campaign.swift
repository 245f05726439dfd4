import FoundationEssentials
import Wire

/// For whom a campaign is.
public enum CampaignTarget: Sendable, Equatable {
  /// The members of a group.
  case group(UUID)
  /// The devices of a board.
  case board(UUID)
  /// The devices that have a component of that sensor profile.
  case sensorProfile(UUID)
  /// One device, by any of its names.
  case device(String)
  /// These devices, each by any of its names.
  case devices([String])
  /// Those that a filter means (docs/filters.md).
  case filter(String)

  /// The words of `target.type`.
  public enum Kind: String, Sendable, CaseIterable {
    case device = "DEVICE"
    case group = "DEVICE_GROUP"
    case board = "DEVICE_PROFILE"
    case sensorProfile = "SENSOR_PROFILE"
  }

  /// As the API writes it.
  public var json: JSON {
    func one(_ kind: Kind, _ id: String) -> JSON {
      ["type": .string(kind.rawValue), "id": .string(id)]
    }
    return switch self {
    case .group(let id): one(.group, id.text)
    case .board(let id): one(.board, id.text)
    case .sensorProfile(let id): one(.sensorProfile, id.text)
    case .device(let name): one(.device, name)
    case .devices(let names): ["deviceIds": .array(names.map { .string($0) })]
    case .filter(let text): ["filter": .string(text)]
    }
  }
}

/// One request for the commands of many devices.
public struct Campaign: Sendable, Equatable {
  public enum Status: String, Sendable, CaseIterable {
    /// Commands are still to be made, or open.
    case running = "RUNNING"
    /// Every command is final.
    case done = "DONE"
    /// It was called off. What was sent before may still be open: until `finishedAt`.
    case cancelled = "CANCELLED"
  }

  public let id: UUID
  public let organisationId: UUID
  public let status: Status
  /// As the API writes it.
  public let target: JSON
  /// The fields of a command, as for a single one.
  public let request: JSON
  public let ratePerMinute: Int?
  /// Names that are of no device of the organisation, each once.
  public let unknown: [String]
  /// The campaign whose failures it tries again.
  public let retryOf: UUID?
  /// Why it is CANCELLED, if nobody asked for that.
  public let reason: String?
  public let traceparent: String?
  public let createdAt: Date
  public let createdBy: String
  public let finishedAt: Date?
  /// How many devices it has. Of a filter's this grows until all are known.
  public let total: Int64
  /// Grows by one with each change of its status.
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, status: Status = .running, target: JSON, request: JSON,
    ratePerMinute: Int?, unknown: [String] = [], retryOf: UUID? = nil, reason: String? = nil,
    traceparent: String?, createdAt: Date, createdBy: String, finishedAt: Date? = nil, total: Int64 = 0,
    rev: Int64 = 1
  ) {
    (self.id, self.organisationId, self.status, self.target) = (id, organisationId, status, target)
    (self.request, self.ratePerMinute, self.unknown) = (request, ratePerMinute, unknown)
    (self.retryOf, self.reason, self.traceparent) = (retryOf, reason, traceparent)
    (self.createdAt, self.createdBy, self.finishedAt) = (createdAt, createdBy, finishedAt)
    (self.total, self.rev) = (total, rev)
  }

  /// The type of its commands.
  public var type: String { request["type"]?.string ?? "" }
}

/// What has become of a campaign's devices: together they are all of them.
public struct CampaignCounts: Sendable, Equatable {
  /// Those without a command yet.
  public var waiting: Int64 = 0
  /// By the status of their command. One that was cancelled is FAILED, but counted apart.
  public private(set) var byStatus: [CommandStatus: Int64] = [:]
  public private(set) var cancelled: Int64 = 0

  public init() {}

  /// The word of commands that were cancelled, beside those of the statuses.
  public static let cancelledWord = "CANCELLED"

  /// - Parameter word: of a status, or `cancelledWord`.
  public mutating func add(_ number: Int64, _ word: String) {
    if word == Self.cancelledWord { cancelled += number }
    if let status = CommandStatus(rawValue: word) { byStatus[status, default: 0] += number }
  }

  /// All devices.
  public var total: Int64 { waiting + cancelled + byStatus.values.reduce(0, +) }

  public var json: JSON {
    func count(_ status: CommandStatus) -> JSON { .int(byStatus[status] ?? 0) }
    return [
      "waiting": .int(waiting), "pending": count(.pending), "sent": count(.sent),
      "acknowledged": count(.acknowledged), "success": count(.success), "failed": count(.failed),
      "timeout": count(.timeout), "cancelled": .int(cancelled),
    ]
  }

  /// Reads what `json` has written.
  public init(json: JSON) {
    waiting = json["waiting"]?.whole ?? 0
    cancelled = json["cancelled"]?.whole ?? 0
    for status in CommandStatus.allCases {
      byStatus[status] = json[status.rawValue.lowercased()]?.whole ?? 0
    }
  }
}

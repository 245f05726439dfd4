import FoundationEssentials

/// What the commands service asks of config for BIND_CONFIG_ARTEFACT and UNBIND_CONFIG_ARTEFACT: the values on
/// `martlet.config.requests`, keyed by deviceId. Config answers with `Uplink.followed`.
public enum ConfigRequest: Sendable, Equatable {
  /// Make or drop a binding, and follow it. The same once more is the same request.
  case bind(BindingRequest)
  /// The command was given up before anybody had it: not to be done, unless it is done already.
  case withdraw(commandId: UUID)

  private static let bindType = "martlet.binding.requested"
  private static let withdrawType = "martlet.binding.withdrawn"

  /// The record for the topic.
  public func event(deviceId: String, traceparent: String?) -> Event {
    let (type, json): (String, JSON) =
      switch self {
      case .bind(let request): (Self.bindType, request.json)
      case .withdraw(let id): (Self.withdrawType, ["commandId": .string(id.text)])
      }
    return Event(topic: .configRequests, key: deviceId, type: type, json: json, traceparent: traceparent)
  }

  /// Reads a record; nil for one of a type that this version does not know.
  /// - Throws: what is wrong with it.
  public init?(type: String, payload: [UInt8]) throws {
    switch type {
    case Self.bindType: self = .bind(try BindingRequest(payload: payload))
    case Self.withdrawType:
      var fields = JSONFields(try JSON(parsing: payload))
      self = .withdraw(commandId: fields.required("commandId", .uuid))
      if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
    default: return nil
    }
  }
}

/// A binding that a command makes or drops.
public struct BindingRequest: Sendable, Equatable {
  /// The types of commands that config carries out; no device gets them.
  public enum Action: String, Sendable, CaseIterable {
    case bind = "BIND_CONFIG_ARTEFACT"
    case unbind = "UNBIND_CONFIG_ARTEFACT"
  }

  public let commandId: UUID
  public let action: Action
  public let organisationId: UUID
  public let deviceId: String
  /// The device's record: who has the deviceId later gets nothing of it.
  public let deviceRecord: UUID
  /// The command's.
  public let params: JSON
  /// Who made the command.
  public let by: String
  /// After this nothing is to be begun: the command is TIMEOUT, or about to be.
  public let deliverBy: Date
  /// After this nobody asks any more what became of it.
  public let followUntil: Date

  public init(
    commandId: UUID, action: Action, organisationId: UUID, deviceId: String, deviceRecord: UUID, params: JSON,
    by: String, deliverBy: Date, followUntil: Date
  ) {
    (self.commandId, self.action, self.organisationId) = (commandId, action, organisationId)
    (self.deviceId, self.deviceRecord, self.params, self.by) = (deviceId, deviceRecord, params, by)
    (self.deliverBy, self.followUntil) = (deliverBy, followUntil)
  }

  public var json: JSON {
    [
      "commandId": .string(commandId.text), "action": .string(action.rawValue),
      "organisationId": .string(organisationId.text), "deviceId": .string(deviceId),
      "deviceRecord": .string(deviceRecord.text), "params": params, "by": .string(by),
      "deliverBy": .string(deliverBy.rfc3339), "followUntil": .string(followUntil.rfc3339),
    ]
  }

  /// Reads what `json` has written.
  /// - Throws: what is wrong with it.
  public init(payload: [UInt8]) throws {
    var fields = JSONFields(try JSON(parsing: payload))
    self.init(
      commandId: fields.required("commandId", .uuid), action: fields.required("action", .word(.bind)),
      organisationId: fields.required("organisationId", .uuid),
      deviceId: fields.required("deviceId", .string(1...256)),
      deviceRecord: fields.required("deviceRecord", .uuid), params: fields.required("params", .any),
      by: fields.required("by", .string(0...10_000)), deliverBy: fields.required("deliverBy", .time),
      followUntil: fields.required("followUntil", .time))
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }
}

/// What has become of a binding that a command made or dropped.
public struct BindingAnswer: Sendable, Equatable {
  public enum Status: String, Sendable, CaseIterable {
    /// The broker has the document.
    case sent = "SENT"
    /// The device is at it.
    case acknowledged = "ACKNOWLEDGED"
    /// The device has what it should have.
    case success = "SUCCESS"
    case failed = "FAILED"
  }

  /// The command.
  public let id: UUID
  public let status: Status
  /// With SUCCESS.
  public let result: JSON?
  /// With FAILED.
  public let error: CommandFault?
  /// Whether the device itself said so.
  public let isByDevice: Bool

  public init(
    id: UUID, status: Status, result: JSON? = nil, error: CommandFault? = nil, isByDevice: Bool = false
  ) {
    (self.id, self.status, self.result, self.error) = (id, status, result, error)
    self.isByDevice = isByDevice
  }

  var json: JSON {
    .compact([
      "id": .string(id.text), "status": .string(status.rawValue), "byDevice": .bool(isByDevice),
      "result": result, "error": error?.json,
    ])
  }

  init(_ fields: inout JSONFields) {
    self.init(
      id: fields.required("id", .uuid), status: fields.required("status", .word(.sent)),
      result: fields.optional("result", .any),
      error: fields.optional(
        "error",
        .fields(CommandFault(code: "", message: "")) { error in
          CommandFault(
            code: error.required("code", .string(1...128)),
            message: error.required("message", .string(0...10_000)))
        }), isByDevice: fields.optional("byDevice", .bool) ?? false)
  }
}

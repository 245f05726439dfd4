import FoundationEssentials

/// What a service asks the bridge to publish to a device: the values on `martlet.device.downlink`, keyed by deviceId.
public enum Downlink: Sendable, Equatable {
  /// A command; the bridge answers with `Uplink.sent` or `.undelivered`.
  case command(CommandDownlink)
  /// The desired document, retained; the bytes are what the device gets. The bridge answers with `Uplink.published`.
  case desired(revision: Int64, document: [UInt8])
  /// A device's answer is stored for good, or never will be.
  case receipt(id: UUID, status: ReceiptStatus)
  /// Where a large artefact is to be had, or why it is not.
  case artefact(ArtefactAnswer)
  /// What the broker keeps for the device on that topic is to go: the device is no more.
  case clear(DeviceTopic)
  /// That command is over: where it has not been published yet it need not be any more.
  case withdraw(id: UUID)

  /// The CloudEvents type.
  public var type: String {
    switch self {
    case .command: Self.commandType
    case .desired: Self.desiredType
    case .receipt: Self.receiptType
    case .artefact: Self.artefactType
    case .clear: Self.clearType
    case .withdraw: Self.withdrawType
    }
  }

  public static let commandType = "martlet.downlink.command"
  public static let desiredType = "martlet.downlink.desired"
  public static let receiptType = "martlet.downlink.receipt"
  public static let artefactType = "martlet.downlink.artefact"
  public static let clearType = "martlet.downlink.clear"
  public static let withdrawType = "martlet.downlink.withdraw"

  /// The record for the downlink topic.
  public func event(deviceId: String, traceparent: String?) -> Event {
    let payload: [UInt8] =
      switch self {
      case .command(let command): command.record
      case .desired(_, let document): document
      case .receipt(let id, let status): Self.receipt(id, status)
      case .artefact(let answer): answer.json.bytes
      case .clear(let topic): (["topic": .string(topic.rawValue)] as JSON).bytes
      case .withdraw(let id): (["id": .string(id.text)] as JSON).bytes
      }
    return Event(
      topic: .deviceDownlink, key: deviceId, type: type, payload: payload, traceparent: traceparent)
  }

  private static func receipt(_ id: UUID, _ status: ReceiptStatus) -> [UInt8] {
    var object = JSONObjectWriter(capacity: 80)
    object.add("id", id)
    object.add("status", plain: status.rawValue)
    return object.finish()
  }

  /// Reads a record.
  /// - Throws: what is wrong with it.
  public init(type: String, payload: [UInt8]) throws {
    if type == Self.receiptType, let (id, status) = CompactStatus.read(payload) {
      self = .receipt(id: id, status: ReceiptStatus(status))
      return
    }
    let json = try JSON(parsing: payload)
    var fields = JSONFields(json)
    switch type {
    case Self.commandType:
      self = .command(
        CommandDownlink(
          id: fields.required("id", Shapes.id), type: fields.required("type", Shapes.type),
          params: fields.optional("params", Shapes.any) ?? .object(JSONObject()),
          lane: fields.required("lane", Shapes.lane), expiresAt: fields.required("expiresAt", Shapes.time),
          deliverBy: fields.required("deliverBy", Shapes.time),
          turn: CommandTurn(
            epoch: Int64(fields.optional("epoch", Shapes.epoch) ?? Int.max),
            number: Int64(fields.optional("turn", Shapes.epoch) ?? 0)),
          own: fields.optional("own", OwnDelivery.shape)))
    case Self.desiredType:
      self = .desired(revision: Int64(fields.required("revision", .int(0...Int.max))), document: payload)
    case Self.receiptType:
      self = .receipt(
        id: fields.required("id", Shapes.id), status: fields.required("status", Shapes.status))
    case Self.artefactType: self = .artefact(ArtefactAnswer(&fields))
    case Self.clearType: self = .clear(fields.required("topic", .word(.desired)))
    case Self.withdrawType: self = .withdraw(id: fields.required("id", Shapes.id))
    default: throw JSONFaults([JSONFault(pointer: "", message: "no downlink of type \(type)")])
    }
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }
}

/// Made once: these are read thousands of times a second.
private enum Shapes {
  static let id = JSONShape.uuid
  static let type = JSONShape.string(1...128)
  static let lane = JSONShape.string(1...64)
  static let any = JSONShape.any
  static let time = JSONShape.time
  static let status = JSONShape<ReceiptStatus>.word(.acknowledged)
  static let epoch = JSONShape<Int>.int(0...Int.max)
}

/// The status words of receipts (`command/receipt`): those of answers, and one more.
public enum ReceiptStatus: String, Sendable, CaseIterable {
  case acknowledged = "ACKNOWLEDGED"
  case progress = "PROGRESS"
  case success = "SUCCESS"
  case failed = "FAILED"
  /// There is no such command (it was deleted): the answer is not stored, and need not be repeated.
  case unknown = "UNKNOWN"

  /// That an answer is stored.
  public init(_ answered: DeviceStatus) {
    self =
      switch answered {
      case .acknowledged: .acknowledged
      case .progress: .progress
      case .success: .success
      case .failed: .failed
      }
  }
}

/// When a command was handed to the bridge: what lets the bridge tell that it is not its turn any more.
public struct CommandTurn: Sendable, Equatable {
  /// The newest announcement of a broker's connection (`Uplink.brokerConnected`, its offset) that the commands service knew
  /// of: what is older than the bridge's own connection is given back, since others of its device go first now.
  public let epoch: Int64
  /// Grows with each turn that a device is given; 0 for a command that went at once, since nothing waited before it.
  public let number: Int64

  public init(epoch: Int64, number: Int64) { (self.epoch, self.number) = (epoch, number) }
}

/// One command on its way to its device.
public struct CommandDownlink: Sendable, Equatable {
  public let id: UUID
  public let type: String
  public let params: JSON
  public let lane: String
  /// When the device has no more use for it.
  public let expiresAt: Date
  /// After this the bridge must not send it any more: the command is TIMEOUT or about to be.
  public let deliverBy: Date
  public let turn: CommandTurn
  /// Where and how a device gets it that has a protocol of its own; nil for the native one.
  public let own: OwnDelivery?

  public init(
    id: UUID, type: String, params: JSON, lane: String, expiresAt: Date, deliverBy: Date, turn: CommandTurn,
    own: OwnDelivery? = nil
  ) {
    (self.id, self.type, self.params, self.lane) = (id, type, params, lane)
    (self.expiresAt, self.deliverBy, self.turn, self.own) = (expiresAt, deliverBy, turn, own)
  }

  /// What the device gets.
  public var message: JSON {
    [
      "id": .string(id.text), "type": .string(type), "params": params, "lane": .string(lane),
      "expiresAt": .string(expiresAt.rfc3339),
    ]
  }

  /// What the bridge gets: the message, its turn, and until when it may be sent.
  var record: [UInt8] {
    var object = JSONObjectWriter(capacity: 512)
    object.add("id", id)
    object.add("type", type)
    // What is filled in already is not sent twice.
    if own == nil { object.add("params", params) }
    object.add("lane", lane)
    object.add("expiresAt", expiresAt)
    if let own { object.add("own", own.json) }
    object.add("epoch", turn.epoch)
    object.add("turn", turn.number)
    object.add("deliverBy", deliverBy)
    return object.finish()
  }
}

import FoundationEssentials

extension Uplink {
  /// The kinds of uplink, as CloudEvents types: a consumer passes over what is not its own without reading it.
  public enum Kind: String, Sendable, CaseIterable {
    case status = "martlet.uplink.status"
    case reported = "martlet.uplink.reported"
    case state = "martlet.uplink.state"
    case presence = "martlet.uplink.presence"
    case sent = "martlet.uplink.sent"
    case undelivered = "martlet.uplink.undelivered"
    case published = "martlet.uplink.published"
    case brokerConnected = "martlet.uplink.brokerConnected"

    /// Whether the device itself said it.
    public var isFromDevice: Bool { DeviceTopic.uplinks.contains { Kind($0) == self } }

    /// What comes on an MQTT topic; nil for topics that devices do not send on.
    public init?(_ topic: DeviceTopic) {
      switch topic {
      case .commandStatus: self = .status
      case .reported: self = .reported
      case .state: self = .state
      case .presence: self = .presence
      case .command, .commandReceipt, .desired: return nil
      }
    }
  }

  /// Its kind.
  public var kind: Kind {
    switch self {
    case .status: .status
    case .reported: .reported
    case .state: .state
    case .presence: .presence
    case .sent: .sent
    case .undelivered: .undelivered
    case .published: .published
    case .brokerConnected: .brokerConnected
    }
  }

  /// The value as it stands on the topic (and, for what devices say, in the MQTT message).
  public var json: JSON {
    switch self {
    case .status(let answer): answer.json
    case .reported(let slots):
      [
        "slots": .object(
          slots.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { $0[$1.key] = $1.value.json })
      ]
    case .state(let state):
      .object(
        [("route", state.route), ("at", state.at.map { .string($0.rfc3339) })]
          .reduce(into: state.attributes) { object, member in
            if let value = member.1 { object[member.0] = value }
          })
    case .presence(let online): ["online": .bool(online)]
    case .sent(let id): ["id": .string(id.text)]
    case .undelivered(let id, let reason): ["id": .string(id.text), "reason": .string(reason.rawValue)]
    case .published(let revision): ["revision": .int(revision)]
    case .brokerConnected: [:]
    }
  }

  private var payload: [UInt8] {
    guard case .sent(let id) = self else { return json.bytes }
    var object = JSONObjectWriter(capacity: 48)
    object.add("id", id)
    return object.finish()
  }

  /// The record for the uplink topic.
  /// - Parameter time: when it happened, if that is not when it is published.
  public func event(deviceId: String, traceparent: String?, time: Date? = nil) -> Event {
    Event(
      topic: .deviceUplink, key: deviceId, type: kind.rawValue, payload: payload, traceparent: traceparent,
      time: time)
  }

  /// Reads what a device sent or what stands on the topic.
  /// - Throws: `JSONError` or `JSONFaults`: what is wrong with it.
  public init(_ kind: Kind, payload: [UInt8]) throws {
    let json = try JSON(parsing: payload)
    var fields = JSONFields(json)
    switch kind {
    case .status: self = .status(Self.answer(&fields))
    case .reported: self = .reported(fields.required("slots", Self.slot.map()))
    case .state:
      let route = fields.optional("route", .object)
      let at = fields.optional("at", .time)
      var attributes = json.object ?? JSONObject()
      attributes["route"] = nil
      attributes["at"] = nil
      self = .state(DeviceState(attributes: attributes, route: route.map { .object($0) }, at: at))
    case .presence: self = .presence(online: fields.required("online", .bool))
    case .sent: self = .sent(id: fields.required("id", .uuid))
    case .undelivered:
      self = .undelivered(
        id: fields.required("id", .uuid), reason: fields.required("reason", .word(.noSubscriber)))
    case .published: self = .published(revision: Int64(fields.required("revision", .int(0...Int.max))))
    case .brokerConnected: self = .brokerConnected
    }
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }

  private static func answer(_ fields: inout JSONFields) -> CommandAnswer {
    CommandAnswer(
      id: fields.required("id", Self.id), status: fields.required("status", Self.status),
      result: fields.optional("result", .any),
      error: fields.optional(
        "error",
        .fields(CommandFault(code: "", message: "")) { error in
          CommandFault(
            code: error.optional("code", Self.code) ?? "",
            message: error.optional("message", .string(0...4096)) ?? "")
        }))
  }

  // Made once: these are read thousands of times a second.
  private static let id = JSONShape.uuid
  private static let status = JSONShape<DeviceStatus>.word(.acknowledged)

  /// Firmware writes codes as words or as numbers.
  private static let code = JSONShape<String>("", expected: "a string or a whole number") {
    $0.string ?? $0.int.map { String($0) }
  }

  private static let slot = JSONShape<ReportedSlot>.fields(
    ReportedSlot(version: 0, sha256: "", status: .failed)
  ) { fields in
    ReportedSlot(
      version: fields.required("version", .int(0...Int(Int32.max))),
      sha256: fields.required("sha256", .string(0...64)),
      status: fields.required("status", .word(.failed)),
      message: fields.optional("message", .string(0...4096)))
  }
}

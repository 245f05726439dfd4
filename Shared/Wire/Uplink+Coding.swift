import FoundationEssentials

extension Uplink {
  /// The kinds of uplink, as CloudEvents types: a consumer passes over what is not its own without reading it.
  public enum Kind: String, Sendable, CaseIterable {
    case status = "martlet.uplink.status"
    case artefactRequest = "martlet.uplink.artefactRequest"
    case reported = "martlet.uplink.reported"
    case state = "martlet.uplink.state"
    case presence = "martlet.uplink.presence"
    case retainedPresence = "martlet.uplink.presence.retained"
    case sent = "martlet.uplink.sent"
    case undelivered = "martlet.uplink.undelivered"
    case published = "martlet.uplink.published"
    case brokerConnected = "martlet.uplink.brokerConnected"
    case followed = "martlet.uplink.followed"
    case answer = "martlet.uplink.answer"
    case unreadable = "martlet.uplink.unreadable"
    /// Several in one record, of which at least one is from the device: `UplinkSeries` reads them.
    case series = "martlet.uplink.series"

    /// Whether the device itself said it, just now.
    public var isFromDevice: Bool {
      self == .unreadable || self == .series || DeviceTopic.uplinks.contains { Kind($0) == self }
    }

    private static let names = allCases.map { ($0, Array($0.rawValue.utf8)) }

    /// The kind of that name, by its bytes: thousands are read a second.
    public init?(utf8 name: UnsafeRawBufferPointer) {
      let known = Self.names.first { $0.1.count == name.count && $0.1.elementsEqual(name) }
      guard let (kind, _) = known else { return nil }
      self = kind
    }

    /// What comes on an MQTT topic; nil for topics that devices do not send on.
    public init?(_ topic: DeviceTopic) {
      switch topic {
      case .commandStatus: self = .status
      case .artefactGet: self = .artefactRequest
      case .reported: self = .reported
      case .state: self = .state
      case .presence: self = .presence
      case .command, .commandReceipt, .desired, .artefactURL: return nil
      }
    }
  }

  /// Its kind.
  public var kind: Kind {
    switch self {
    case .status: .status
    case .artefactRequest: .artefactRequest
    case .reported: .reported
    case .state: .state
    case .presence: .presence
    case .retainedPresence: .retainedPresence
    case .sent: .sent
    case .undelivered: .undelivered
    case .published: .published
    case .brokerConnected: .brokerConnected
    case .followed: .followed
    case .answer: .answer
    case .unreadable: .unreadable
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
    case .artefactRequest(let sha256): ["sha256": .string(sha256)]
    case .state(let state):
      .object(
        [("route", state.route), ("at", state.at.map { .string($0.rfc3339) })]
          .reduce(into: state.attributes) { object, member in
            if let value = member.1 { object[member.0] = value }
          })
    case .presence(let online), .retainedPresence(let online): ["online": .bool(online)]
    case .sent(let id, let replica): .compact(["id": .string(id.text), "by": replica.map { .string($0) }])
    case .undelivered(let id, let reason, let replica):
      .compact([
        "id": .string(id.text), "reason": .string(reason.rawValue), "by": replica.map { .string($0) },
      ])
    case .published(let revision): ["revision": .int(revision)]
    case .brokerConnected: [:]
    case .followed(let answer): answer.json
    case .unreadable: [:]
    case .answer(let answer): ["topic": .string(answer.topic), "text": .string(answer.text)]
    }
  }

  private var payload: [UInt8] {
    guard case .sent(let id, let replica) = self else { return json.bytes }
    var object = JSONObjectWriter(capacity: 64)
    object.add("id", id)
    object.add("by", replica)
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
    if kind == .status, let (id, status) = CompactStatus.read(payload), status != .progress {
      self = .status(CommandAnswer(id: id, status: status))
      return
    }
    if kind == .sent, let (id, replica) = CompactStatus.readSent(payload) {
      self = .sent(id: id, by: replica)
      return
    }
    guard kind != .series else {
      throw JSONFaults([JSONFault(pointer: "", message: "holds several uplinks")])
    }
    let json = try JSON(parsing: payload, allowsAnyNumber: true)
    var fields = JSONFields(json)
    switch kind {
    case .status: self = .status(Self.answer(&fields))
    case .reported:
      let slots = fields.required("slots", Self.slot.members())
      self = .reported(Dictionary(slots.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }))
    case .artefactRequest: self = .artefactRequest(sha256: fields.required("sha256", Self.sha256))
    case .state:
      let route = fields.optional("route", .object)
      // A clock that cannot be read is no clock: what the device says counts all the same.
      let at = json["at"]?.string.flatMap { Date(rfc3339: $0) }
      var attributes = json.object ?? JSONObject()
      attributes["route"] = nil
      attributes["at"] = nil
      self = .state(DeviceState(attributes: attributes, route: route.map { .object($0) }, at: at))
    case .presence: self = .presence(online: fields.required("online", .bool))
    case .retainedPresence: self = .retainedPresence(online: fields.required("online", .bool))
    case .sent: self = .sent(id: fields.required("id", .uuid), by: fields.optional("by", .string(0...1024)))
    case .undelivered:
      self = .undelivered(
        id: fields.required("id", .uuid), reason: fields.required("reason", .word(.noSubscriber)),
        by: fields.optional("by", .string(0...1024)))
    case .published: self = .published(revision: Int64(fields.required("revision", .int(0...Int.max))))
    case .brokerConnected: self = .brokerConnected
    case .unreadable: self = .unreadable
    // Refused above.
    case .series: self = .unreadable
    case .followed: self = .followed(BindingAnswer(&fields))
    case .answer:
      self = .answer(
        OwnAnswer(
          topic: fields.required("topic", .string(1...65_535)),
          text: fields.required("text", .string(0...1024))))
    }
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }

  private static func answer(_ fields: inout JSONFields) -> CommandAnswer {
    let (id, status) = (fields.required("id", Self.id), fields.required("status", Self.status))
    return CommandAnswer(
      id: id, status: status,
      result: fields.optional("result", .any),
      error: fields.optional("error", Self.fault),
      progress: status == .progress ? progress(&fields) : nil)
  }

  /// Only of PROGRESS: an end is not lost for what it says of the way.
  private static func progress(_ fields: inout JSONFields) -> CommandProgress? {
    let percent = fields.optional("percent", Self.percent)
    let step = fields.optional("step", Self.step)
    return percent == nil && step == nil ? nil : CommandProgress(percent: percent, step: step)
  }

  private static let percent = JSONShape<Double>(0, expected: "a number from 0 to 100") {
    $0.double.flatMap { (0...100).contains($0) ? $0 : nil }
  }

  private static let step = JSONShape<String>("", expected: "a string or a whole number") {
    $0.string.map { cut($0, to: 1024) } ?? $0.int.map { String($0) }
  }

  // Made once: these are read thousands of times a second.
  private static let id = JSONShape.uuid
  private static let sha256 = JSONShape.sha256
  private static let status = JSONShape<DeviceStatus>.word(.acknowledged)

  /// Firmware writes codes as words or as numbers.
  private static let code = JSONShape<String>("", expected: "a string or a whole number") {
    $0.string.map { cut($0, to: 1024) } ?? $0.int.map { String($0) }
  }

  /// Firmware also sends a word in the place of the object.
  private static let fault = JSONShape<CommandFault>(placeholder: CommandFault(code: "", message: "")) {
    json, pointer in
    if let text = json.string { return .success(CommandFault(code: "", message: cut(text, to: 4096))) }
    return faultObject.read(json, pointer)
  }

  private static let faultObject = JSONShape<CommandFault>.fields(
    CommandFault(code: "", message: ""), isClosed: false
  ) { error in
    CommandFault(code: error.optional("code", code) ?? "", message: error.optional("message", text) ?? "")
  }

  /// What a device says in words: what is too long is cut, since what it says besides must not be lost for it.
  private static let text = JSONShape<String>("", expected: "a string") {
    $0.string.map { cut($0, to: 4096) }
  }

  private static func cut(_ text: String, to count: Int) -> String {
    // Bytes are counted for nothing, and are not fewer than characters.
    text.utf8.count <= count ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(count)))
  }

  private static let slot = JSONShape<ReportedSlot>.fields(
    ReportedSlot(version: 0, sha256: "", status: .failed), isClosed: false
  ) { fields in
    ReportedSlot(
      version: fields.required("version", .int(0...Int(Int32.max))),
      sha256: fields.required("sha256", .string(0...64)).lowercased(),
      status: fields.required("status", .word(.failed)),
      message: fields.optional("message", Self.text))
  }
}

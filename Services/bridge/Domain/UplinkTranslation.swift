import FoundationEssentials
import Wire

/// What becomes of one MQTT message from a device.
public enum UplinkTranslation: Sendable, Equatable {
  /// It goes to the services as it came, or as `mended` says. `besides` is why it is set aside as well: a part of it cannot be
  /// understood, and is not in `mended`.
  case accepted(
    kind: Uplink.Kind, deviceId: String, traceparent: String?, mended: [UInt8]? = nil, besides: String? = nil)
  /// It came where devices with protocols of their own answer: the text of it.
  case answer(OwnAnswer, traceparent: String?)
  /// The broker keeps the desired document of that revision now.
  case observed(deviceId: String, revision: Int64, traceparent: String?)
  /// Retained, where that does not count, or the end of something retained.
  case ignored
  /// It cannot be understood. The reason holds nothing of the payload.
  case rejected(deviceId: String?, reason: String)

  /// The largest payload that a device may send.
  public static let maximumBytes = 256 * 1024

  /// - Parameters:
  ///   - topic: the topic's name.
  ///   - payload: as it came.
  ///   - isRetained: whether the broker had kept it.
  ///   - traceparent: the user property of that name; one that is not valid counts as none.
  public init(topic: String, payload: [UInt8], isRetained: Bool = false, traceparent: String?) {
    let valid = traceparent.flatMap { TraceContext(traceparent: $0) == nil ? nil : $0 }
    guard let (deviceId, topic) = DeviceTopic.parse(topic) else {
      if TopicTemplate.allows(topic, longest: 65_535) {
        self = Self.answer(topic, payload, isRetained: isRetained, valid)
        return
      }
      self = .rejected(deviceId: nil, reason: "not a topic that devices send on")
      return
    }
    if topic == .desired {
      self = Self.observation(deviceId, payload, valid)
      return
    }
    guard let kind = Uplink.Kind(topic) else {
      self = .rejected(deviceId: nil, reason: "not a topic that devices send on")
      return
    }
    guard !isRetained || kind == .presence else {
      self = .ignored
      return
    }
    guard payload.count <= Self.maximumBytes else {
      self = .rejected(deviceId: deviceId, reason: "larger than \(Self.maximumBytes) bytes")
      return
    }
    // Somebody has cleared what the broker kept: no device says that.
    if kind == .presence, payload.isEmpty {
      self = .ignored
      return
    }
    if kind == .status, CompactStatus.read(payload) != nil {
      self = .accepted(kind: kind, deviceId: deviceId, traceparent: valid)
      return
    }
    let mended = DevicePayload.mended(payload)
    do { _ = try Uplink(kind, payload: mended ?? payload) } catch {
      let reason = Rejection.reason(error)
      if kind == .reported, let rest = Self.withGoodSlots(mended ?? payload) {
        self = .accepted(
          kind: kind, deviceId: deviceId, traceparent: valid, mended: rest, besides: reason)
      } else {
        self = .rejected(deviceId: deviceId, reason: reason)
      }
      return
    }
    self = .accepted(
      kind: isRetained ? .retainedPresence : kind, deviceId: deviceId, traceparent: valid, mended: mended)
  }

  /// A report without the slots that cannot be understood: what a device says of the others is not lost for them. Nil where
  /// there are no others.
  private static func withGoodSlots(_ payload: [UInt8]) -> [UInt8]? {
    guard let json = try? JSON(parsing: payload, allowsAnyNumber: true), let slots = json["slots"]?.object
    else { return nil }
    let good = slots.members.filter { slot in
      let alone = JSON.object(JSONObject([Named(name: slot.name, value: slot.value)]))
      return (try? Uplink(.reported, payload: JSON.object(["slots": alone]).bytes)) != nil
    }
    guard !good.isEmpty else { return nil }
    let rest = JSONObject(good.map { Named(name: $0.name, value: $0.value) })
    return JSON.object(["slots": .object(rest)]).bytes
  }

  /// Nothing that is longer can be a word of a protocol.
  private static let longestAnswer = 1024

  private static func answer(
    _ topic: String, _ payload: [UInt8], isRetained: Bool, _ traceparent: String?
  ) -> Self {
    if isRetained { return .ignored }
    guard payload.count <= longestAnswer else {
      return .rejected(deviceId: nil, reason: "an answer larger than \(longestAnswer) bytes")
    }
    guard let text = String(validating: DevicePayload.mended(payload) ?? payload, as: UTF8.self) else {
      return .rejected(deviceId: nil, reason: "not valid UTF-8")
    }
    // Kafka's consumers read JSON in which U+0000 has no place.
    let plain = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value == 0 ? "\u{FFFD}" : $0 }))
    return .answer(OwnAnswer(topic: topic, text: plain), traceparent: traceparent)
  }

  private static func observation(_ deviceId: String, _ payload: [UInt8], _ traceparent: String?) -> Self {
    // Cleared: the broker keeps none, which is older than any.
    if payload.isEmpty { return .observed(deviceId: deviceId, revision: 0, traceparent: traceparent) }
    do {
      guard case .desired(let revision, _) = try Downlink(type: Downlink.desiredType, payload: payload) else {
        return .ignored
      }
      return .observed(deviceId: deviceId, revision: revision, traceparent: traceparent)
    } catch { return .rejected(deviceId: deviceId, reason: Rejection.reason(error)) }
  }
}

/// Why something was set aside, in words that may be logged.
public enum Rejection {
  /// What is wrong, without values; pointers hold names that a device chose, so they are left out too.
  public static func reason(_ error: any Error) -> String {
    switch error {
    case let error as JSONError: "not valid JSON: \(error.message)"
    case let error as JSONFaults:
      error.faults.prefix(3).map { "\($0.pointer.isEmpty ? "the body" : "a field") \($0.message)" }
        .joined(separator: "; ")
    default: "cannot be read"
    }
  }
}

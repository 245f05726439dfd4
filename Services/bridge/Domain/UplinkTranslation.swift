import FoundationEssentials
import Wire

/// What becomes of one MQTT message from a device.
public enum UplinkTranslation: Sendable, Equatable {
  /// It goes to the services as it came.
  case accepted(kind: Uplink.Kind, deviceId: String, traceparent: String?)
  /// The broker keeps the desired document of that revision now.
  case observed(deviceId: String, revision: Int64, traceparent: String?)
  /// Retained, where that does not count.
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
    do {
      if kind != .status || CompactStatus.read(payload) == nil { _ = try Uplink(kind, payload: payload) }
    } catch {
      self = .rejected(deviceId: deviceId, reason: Rejection.reason(error))
      return
    }
    self = .accepted(kind: kind, deviceId: deviceId, traceparent: valid)
  }

  private static func observation(_ deviceId: String, _ payload: [UInt8], _ traceparent: String?) -> Self {
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

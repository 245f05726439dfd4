import FoundationEssentials
import Wire

/// What becomes of one MQTT message from a device.
public enum UplinkTranslation: Sendable, Equatable {
  /// It goes to the services as it came.
  case accepted(kind: Uplink.Kind, deviceId: String, traceparent: String?)
  /// It cannot be understood. The reason holds nothing of the payload.
  case rejected(deviceId: String?, reason: String)

  /// The largest payload that a device may send.
  public static let maximumBytes = 256 * 1024

  /// - Parameters:
  ///   - topic: the topic's name.
  ///   - payload: as it came.
  ///   - traceparent: the user property of that name; one that is not valid counts as none.
  public init(topic: String, payload: [UInt8], traceparent: String?) {
    guard let (deviceId, topic) = DeviceTopic.parse(topic), let kind = Uplink.Kind(topic) else {
      self = .rejected(deviceId: nil, reason: "not a topic that devices send on")
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
    let valid = traceparent.flatMap { TraceContext(traceparent: $0) == nil ? nil : $0 }
    self = .accepted(kind: kind, deviceId: deviceId, traceparent: valid)
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

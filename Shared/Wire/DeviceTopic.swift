/// The native MQTT topics, `martlet/v1/{deviceId}/…` (SPEC, section 6.1).
public enum DeviceTopic: String, Sendable, CaseIterable {
  case command
  case commandStatus = "command/status"
  case commandReceipt = "command/receipt"
  case desired
  case reported
  case state
  case presence

  public static let prefix = "martlet/v1"

  /// What devices send.
  public static let uplinks: [DeviceTopic] = [.commandStatus, .reported, .state, .presence]

  /// The topic of one device.
  public func of(_ deviceId: String) -> String { "\(Self.prefix)/\(deviceId)/\(rawValue)" }

  /// The filter that takes this topic of every device.
  public var filter: String { of("+") }

  /// Reads a topic name; nil if it is none of ours or its device id is not one.
  public static func parse(_ topic: String) -> (deviceId: String, topic: DeviceTopic)? {
    let start = prefix + "/"
    guard topic.hasPrefix(start) else { return nil }
    let rest = topic.dropFirst(start.count)
    guard let slash = rest.firstIndex(of: "/"),
      let kind = DeviceTopic(rawValue: String(rest[rest.index(after: slash)...]))
    else { return nil }
    let deviceId = String(rest[..<slash])
    return Identifier.isDeviceId(deviceId) ? (deviceId, kind) : nil
  }
}

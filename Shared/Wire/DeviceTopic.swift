/// The native MQTT topics, `martlet/v1/{deviceId}/…` (SPEC, section 6.1).
public enum DeviceTopic: String, Sendable, CaseIterable {
  case command
  case commandStatus = "command/status"
  case commandReceipt = "command/receipt"
  case desired
  case reported
  case state
  case presence
  case artefactGet = "artefact/get"
  case artefactURL = "artefact/url"

  public static let prefix = "martlet/v1"

  /// What devices send.
  public static let uplinks: [DeviceTopic] = [.commandStatus, .artefactGet, .reported, .state, .presence]

  /// Where the broker keeps the last message: what a device should have, and whether it is there.
  public static let retained: [DeviceTopic] = [.desired, .presence]

  /// The topic of one device.
  public func of(_ deviceId: String) -> String { "\(Self.prefix)/\(deviceId)/\(rawValue)" }

  /// The filter that takes this topic of every device.
  public var filter: String { of("+") }

  /// Reads a topic name; nil if it is none of ours or its device id is not one.
  public static func parse(_ topic: String) -> (deviceId: String, topic: DeviceTopic)? {
    var topic = topic
    return topic.withUTF8 { bytes in
      let idEnd = start.count + 16
      guard bytes.count > idEnd + 1, bytes.starts(with: start), bytes[idEnd] == UInt8(ascii: "/"),
        let kind = allCases.first(where: { $0.rawValue.utf8.elementsEqual(bytes[(idEnd + 1)...]) })
      else { return nil }
      let deviceId = String(decoding: bytes[start.count..<idEnd], as: UTF8.self)
      return Identifier.isDeviceId(deviceId) ? (deviceId, kind) : nil
    }
  }

  private static let start = Array((prefix + "/").utf8)
}

/// Why something could not be done. Descriptions hold no payloads and no secrets.
public enum MQTTError: Error, Sendable, Equatable, CustomStringConvertible {
  /// There is no connection now; nothing was sent.
  case notConnected
  /// The connection went before the broker's answer: the message may or may not have arrived.
  case connectionLost
  /// The awaiting task was cancelled; what was already written may have arrived.
  case cancelled
  /// The topic is empty, too long, or has a wildcard or a NUL in it.
  case invalidTopic
  /// The topic filter is empty, too long, or its wildcards stand in the wrong place.
  case invalidFilter
  /// A part of the message cannot be sent: says which.
  case invalidMessage(String)
  /// The broker refused the request.
  case refused(MQTTReasonCode)
  /// Too many messages wait already.
  case queueFull
  /// libmosquitto or the system refused the call: says what.
  case failed(String)

  /// In words, without payloads and secrets.
  public var description: String {
    switch self {
    case .notConnected: "not connected to the MQTT broker"
    case .connectionLost: "the connection to the MQTT broker was lost before its answer"
    case .cancelled: "cancelled before the MQTT broker's answer"
    case .invalidTopic: "not a valid MQTT topic"
    case .invalidFilter: "not a valid MQTT topic filter"
    case .invalidMessage(let part): "the MQTT message cannot be sent: \(part)"
    case .refused(let reason): "refused by the MQTT broker: \(reason)"
    case .queueFull: "too many MQTT messages are waiting"
    case .failed(let what): "MQTT: \(what)"
    }
  }
}

/// A reason code of MQTT 5; 128 and above are failures.
public struct MQTTReasonCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  /// The number on the wire.
  public let rawValue: UInt8

  /// The reason with that number.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// User name or password is wrong.
  public static let badUserNameOrPassword = MQTTReasonCode(rawValue: 134)
  /// The client may not do that.
  public static let notAuthorized = MQTTReasonCode(rawValue: 135)
  /// Another connection with the same client id took the session.
  public static let sessionTakenOver = MQTTReasonCode(rawValue: 142)

  /// Whether it says that something failed.
  public var isFailure: Bool { rawValue >= 128 }

  /// The words of the specification, with the number.
  public var description: String { "\(reasonText(rawValue)) (\(rawValue))" }
}

/// Why there is no connection.
public enum MQTTDisconnectReason: Sendable, Equatable, CustomStringConvertible {
  /// The owner asked for it.
  case requested
  /// The owner dropped the socket.
  case aborted
  /// The broker answered the connection attempt with a refusal.
  case refused(MQTTReasonCode)
  /// The broker ended the connection and said why.
  case byBroker(MQTTReasonCode)
  /// No connection could be made: says why.
  case connectFailed(String)
  /// The broker did not answer in time (connecting, or a ping).
  case timedOut
  /// The connection broke: says how.
  case connectionLost(String)

  /// In words.
  public var description: String {
    switch self {
    case .requested: "disconnected on request"
    case .aborted: "dropped on request"
    case .refused(let reason): "the broker refuses the connection: \(reason)"
    case .byBroker(let reason): "the broker ended the connection: \(reason)"
    case .connectFailed(let what): "cannot connect: \(what)"
    case .timedOut: "the broker did not answer in time"
    case .connectionLost(let what): "the connection was lost: \(what)"
    }
  }
}

/// Whether a session has its connection.
public enum MQTTSessionState: Sendable, Equatable {
  /// Connected, and every configured subscription was answered by the broker.
  case connected(sessionPresent: Bool)
  /// Not connected. It is being tried again, unless the owner ended the session or wanted one connection only.
  case disconnected(MQTTDisconnectReason)
}

import FoundationEssentials

/// How hard the broker and the client try to deliver.
public enum MQTTQoS: UInt8, Sendable, ExpressibleByIntegerLiteral {
  /// 0: sent once, not acknowledged.
  case atMostOnce = 0
  /// 1: sent again (by whoever owns the message) until acknowledged.
  case atLeastOnce = 1

  /// `0` is at most once, every other literal at least once.
  public init(integerLiteral value: UInt8) { self = value == 0 ? .atMostOnce : .atLeastOnce }
}

/// The properties of MQTT 5 that a message can carry.
public struct MQTTProperties: Sendable, Equatable {
  /// Names the request that an answer belongs to; at most 65,535 bytes.
  public var correlationData: [UInt8]?
  /// Where an answer shall be published.
  public var responseTopic: String?
  /// Seconds after which the broker drops the message if it has not been delivered.
  public var messageExpiry: UInt32?
  /// The payload's media type.
  public var contentType: String?
  /// Name and value pairs in order; names may repeat.
  public var userProperties: [(String, String)]

  /// - Parameters: see the properties.
  public init(
    correlationData: [UInt8]? = nil, responseTopic: String? = nil, messageExpiry: UInt32? = nil,
    contentType: String? = nil, userProperties: [(String, String)] = []
  ) {
    self.correlationData = correlationData
    self.responseTopic = responseTopic
    self.messageExpiry = messageExpiry
    self.contentType = contentType
    self.userProperties = userProperties
  }

  /// The first user property of that name.
  public subscript(user name: String) -> String? { userProperties.first { $0.0 == name }?.1 }

  /// Whether there is nothing to send.
  var isEmpty: Bool {
    correlationData == nil && responseTopic == nil && messageExpiry == nil && contentType == nil
      && userProperties.isEmpty
  }

  /// Whether all properties are the same, user properties in the same order.
  public static func == (a: Self, b: Self) -> Bool {
    a.correlationData == b.correlationData && a.responseTopic == b.responseTopic
      && a.messageExpiry == b.messageExpiry && a.contentType == b.contentType
      && a.userProperties.elementsEqual(b.userProperties, by: ==)
  }
}

/// One message, sent or received.
public struct MQTTMessage: Sendable, Equatable {
  /// Where it is published; levels are separated by `/`, no wildcards.
  public var topic: String
  /// Any bytes.
  public var payload: [UInt8]
  /// Delivery guarantee.
  public var qos: MQTTQoS
  /// Whether the broker keeps it for later subscribers; on a received message: whether it was kept.
  public var retain: Bool
  /// MQTT 5 properties.
  public var properties: MQTTProperties
  /// When it was read from the socket; `nil` for one that was not received.
  public var receivedAt: Date?

  /// - Parameters: see the properties.
  public init(
    topic: String, payload: [UInt8], qos: MQTTQoS = .atLeastOnce, retain: Bool = false,
    properties: MQTTProperties = MQTTProperties(), receivedAt: Date? = nil
  ) {
    self.topic = topic
    self.payload = payload
    self.qos = qos
    self.retain = retain
    self.properties = properties
    self.receivedAt = receivedAt
  }
}

/// What to receive: a topic filter (`+` and `#` are wildcards, `$share/group/filter` shares) and the highest QoS.
public struct MQTTSubscription: Sendable, Hashable {
  /// The topic filter.
  public var filter: String
  /// The highest QoS at which messages are delivered.
  public var qos: MQTTQoS
  /// When the broker sends what it keeps retained.
  public var retained: Retained

  /// When the broker sends the retained messages of a subscription.
  public enum Retained: Int32, Sendable {
    /// Each time that it is made, so on every connection.
    case always = 0x00
    /// When the session did not have it yet.
    case ifNew = 0x10
  }

  /// - Parameters: see the properties.
  public init(_ filter: String, qos: MQTTQoS = .atLeastOnce, retained: Retained = .always) {
    self.filter = filter
    self.qos = qos
    self.retained = retained
  }

  /// - Parameters: see the properties.
  public init(filter: String, qos: MQTTQoS = .atLeastOnce) { self.init(filter, qos: qos) }
}

/// What became of a published message.
public enum MQTTPublishResult: Sendable, Equatable {
  /// The broker took it (QoS 1), or it was written (QoS 0).
  case accepted
  /// The broker took it, but nobody subscribes to its topic (reason 16).
  case noMatchingSubscribers
  /// The broker refused it.
  case refused(MQTTReasonCode)
}

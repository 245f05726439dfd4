/// Files for TLS, as paths to PEM files. With a certificate and a key the client authenticates itself (mutual TLS).
public struct MQTTTLS: Sendable {
  /// The authorities that may have signed the broker's certificate.
  public var caFile: String
  /// The client's own certificate chain.
  public var certificateFile: String?
  /// The client's private key.
  public var keyFile: String?

  /// - Parameters: see the properties.
  public init(caFile: String, certificateFile: String? = nil, keyFile: String? = nil) {
    self.caFile = caFile
    self.certificateFile = certificateFile
    self.keyFile = keyFile
  }
}

/// Where and as whom to connect, and what the broker keeps for the client.
public struct MQTTConfiguration: Sendable, CustomStringConvertible {
  /// Name or address of the broker.
  public var host: String
  /// Its port.
  public var port: Int
  /// Who this is; stable, if the broker shall keep the session.
  public var clientId: String
  /// Name for the broker's password file, if any.
  public var username: String?
  /// Its password; never part of any description.
  public var password: String?
  /// Whether each connection begins by forgetting the session that the broker has.
  public var cleanStart: Bool
  /// How long the broker keeps the session after the connection ended, in seconds.
  public var sessionExpiry: UInt32
  /// Seconds of silence after which a ping is sent; 0 means none, and 1 to 4 count as 5 (the library's least).
  public var keepAlive: UInt16
  /// How many QoS 1 messages the broker may have sent without an acknowledgement; at least 1.
  public var receiveMaximum: UInt16
  /// What the broker publishes if the connection ends without a disconnect.
  public var will: MQTTMessage?
  /// TLS, unless `nil`.
  public var tls: MQTTTLS?
  /// How long a connection attempt may take, from the first packet until the broker granted the subscriptions.
  public var connectTimeout: Duration

  /// - Parameters: see the properties.
  public init(
    host: String, port: Int = 1883, clientId: String, username: String? = nil, password: String? = nil,
    cleanStart: Bool = true, sessionExpiry: UInt32 = 0, keepAlive: UInt16 = 60, receiveMaximum: UInt16 = 1000,
    will: MQTTMessage? = nil, tls: MQTTTLS? = nil, connectTimeout: Duration = .seconds(10)
  ) {
    self.host = host
    self.port = port
    self.clientId = clientId
    self.username = username
    self.password = password
    self.cleanStart = cleanStart
    self.sessionExpiry = sessionExpiry
    self.keepAlive = keepAlive
    self.receiveMaximum = receiveMaximum
    self.will = will
    self.tls = tls
    self.connectTimeout = connectTimeout
  }

  /// Where and as whom, without the password.
  public var description: String {
    "\(tls == nil ? "mqtt" : "mqtts")://\(username.map { "\($0)@" } ?? "")\(host):\(port) as \(clientId)"
  }

  /// The keep-alive as libmosquitto accepts it: 0, or at least 5.
  var effectiveKeepAlive: Int { keepAlive == 0 ? 0 : max(5, Int(keepAlive)) }
}

extension MQTTConfiguration: CustomDebugStringConvertible, CustomReflectable {
  /// The same as `description`: `dump` and `debugPrint` must not show the password either.
  public var debugDescription: String { description }
  /// Only the description, for the same reason.
  public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

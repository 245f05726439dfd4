/// An error of the broker or of the client library. It never holds a message's key, value or headers.
public struct KafkaError: Error, Hashable, Sendable, CustomStringConvertible {
  /// librdkafka's number: positive ones are the Kafka protocol's own, negative ones the client's.
  public var code: Int32
  /// The code's name and what it means.
  public var message: String
  /// The same call may succeed later. Too large, malformed or forbidden messages are not retryable; unknown topics
  /// are, since they may be created.
  public var isRetryable: Bool
  /// The client that threw it is of no more use: close it and make a new one. (A producer makes itself anew.)
  public var isFatal: Bool

  /// An error from its parts.
  public init(code: Int32, message: String, isRetryable: Bool, isFatal: Bool = false) {
    self.code = code
    self.message = message
    self.isRetryable = isRetryable
    self.isFatal = isFatal
  }

  /// The message itself is at fault (too large, corrupt, invalid: the protocol's 10, 2 and 87): no broker of this
  /// cluster will ever take it.
  public var isOfTheMessage: Bool { code == 10 || code == 2 || code == 87 }

  /// Another member has taken this one's `instanceId`, or the broker believes so (the protocol's 82).
  var isFence: Bool { code == 82 }

  /// The message.
  public var description: String { message }
}

import Kafka
import Postgres

/// An error that passes by itself: a database or broker that is away.
public protocol TemporaryError: Error {
  var isTemporary: Bool { get }
}

extension PostgresError: TemporaryError {
  public var isTemporary: Bool { isRetryable }
}

extension KafkaError: TemporaryError {
  public var isTemporary: Bool { isRetryable }
}

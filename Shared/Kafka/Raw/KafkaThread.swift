import Glibc
import Threads

/// Starts a thread for what blocks in librdkafka.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) throws(KafkaError) {
  guard OwnThread.start(name, body) else {
    throw KafkaError(code: EAGAIN, message: "no thread could be started", isRetryable: true)
  }
}

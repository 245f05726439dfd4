import CRdKafka
import Observability

extension Logger {
  /// A line of the library's own; its levels are syslog's.
  func library(_ event: OpaquePointer) {
    var facility: UnsafePointer<CChar>?
    var text: UnsafePointer<CChar>?
    var level: Int32 = 7
    guard rd_kafka_event_log(event, &facility, &text, &level) == 0 else { return }
    let grade: Logger.Level =
      switch level {
      case ...2: .error
      // The library calls a broker that is away an error; here it is waited out.
      case 3, 4: .warning
      case 5: .notice
      case 6: .info
      default: .debug
      }
    log(
      grade, text.map { String(cString: $0) } ?? "",
      ["facility": facility.map { String(cString: $0) } ?? ""])
  }

  /// An error that the library waits out by itself.
  func waitedOut(_ event: OpaquePointer) {
    let error = KafkaError(event: event)
    switch rd_kafka_event_error(event) {
    // The log has said it, or will.
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE:
      debug(error.message)
    default: warning("librdkafka goes on after an error", ["error": error.message])
    }
  }
}

extension KafkaError {
  /// The error of an error event.
  init(event: OpaquePointer) {
    self.init(
      rd_kafka_event_error(event), detail: rd_kafka_event_error_string(event).map { String(cString: $0) },
      isFatal: rd_kafka_event_error_is_fatal(event) != 0)
  }
}

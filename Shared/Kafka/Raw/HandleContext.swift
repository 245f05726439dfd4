import CRdKafka
import Observability
import Synchronization

/// What librdkafka's callbacks find by a handle's opaque pointer.
///
/// `@unchecked Sendable`: `rebalanced` and `committed` are set and cleared by the consumer's one thread, and called only
/// within its polls; the rest is constant or atomic.
final class HandleContext: @unchecked Sendable {
  private let logger: Logger
  private let fatal = Atomic(false)
  /// Partitions were given or taken away; called within a poll.
  var rebalanced: ((rd_kafka_resp_err_t, UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?) -> Void)?
  /// The answer to the commit of that number; called within a poll.
  var committed: ((Int, rd_kafka_resp_err_t) -> Void)?

  init(logger: Logger) { self.logger = logger }

  /// A fatal error has been raised.
  var isFatal: Bool { fatal.load(ordering: .acquiring) }

  /// The context of a handle, inside a callback.
  static func of(_ handle: OpaquePointer?) -> HandleContext? { from(rd_kafka_opaque(handle)) }

  /// The context behind an opaque pointer, inside a callback.
  static func from(_ opaque: UnsafeMutableRawPointer?) -> HandleContext? {
    opaque.map { Unmanaged<HandleContext>.fromOpaque($0).takeUnretainedValue() }
  }

  /// A line of the library's own; its levels are syslog's. Within a poll.
  func log(_ level: Int32, _ facility: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?) {
    let facility = facility.map { String(cString: $0) } ?? ""
    let text = text.map { String(cString: $0) } ?? ""
    let grade: Logger.Level =
      switch level {
      case ...2: .error
      // The library calls a broker that is away an error; here it is waited out.
      case 3, 4: .warning
      case 5: .notice
      case 6: .info
      default: .debug
      }
    logger.log(grade, text, ["facility": facility])
  }

  /// The error callback, within a poll.
  func failed(_ code: Int32, _ text: UnsafePointer<CChar>?) {
    guard code == RD_KAFKA_RESP_ERR__FATAL.rawValue else {
      // The log callback has said it, or will.
      return logger.debug(text.map { String(cString: $0) } ?? "error", ["code": "\(code)"])
    }
    fatal.store(true, ordering: .releasing)
  }
}

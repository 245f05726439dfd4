import CRdKafka
import Observability

/// The one owner of an `rd_kafka_t`: made in `init`, destroyed in `deinit`.
///
/// `@unchecked Sendable`: librdkafka's handles may be used from any thread, and every stored property is a constant.
/// Whoever drops the last reference waits for the library's threads, so drop it on a thread of one's own.
final class RawHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  /// What callbacks find by the handle; lives as long as the handle does.
  let context: HandleContext

  /// - Parameters:
  ///   - settings: librdkafka's names and values; the configuration's `extra` has been merged in.
  ///   - prepare: registers callbacks on the configuration object.
  init(
    _ kind: rd_kafka_type_t, settings: [String: String], context: HandleContext,
    prepare: (OpaquePointer) -> Void = { _ in }
  ) throws {
    guard let conf = rd_kafka_conf_new() else { throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE) }
    var reason = [CChar](repeating: 0, count: 512)
    for (name, value) in settings
    where rd_kafka_conf_set(conf, name, value, &reason, reason.count) != RD_KAFKA_CONF_OK {
      rd_kafka_conf_destroy(conf)
      // The library's text for a bad value quotes the value, which may be a password.
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, detail: "the setting \(name) was refused")
    }
    rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(context).toOpaque())
    rd_kafka_conf_set_log_cb(conf) { handle, level, facility, text in
      HandleContext.of(handle)?.log(level, facility, text)
    }
    rd_kafka_conf_set_error_cb(conf) { handle, code, text, opaque in
      HandleContext.from(opaque)?.failed(code, text)
    }
    prepare(conf)
    guard let pointer = rd_kafka_new(kind, conf, &reason, reason.count) else {
      rd_kafka_conf_destroy(conf)
      let text = String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, detail: text)
    }
    self.pointer = pointer
    self.context = context
    // Log lines come with the polls: nothing of ours runs on the library's threads.
    rd_kafka_set_log_queue(pointer, nil)
  }

  deinit {
    // Consumers were closed, or given up, before: never block here on a broker.
    rd_kafka_destroy_flags(pointer, Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE))
  }
}

extension RawHandle {
  /// What has made the client useless, if anything has.
  var fatal: KafkaError? {
    var reason = [CChar](repeating: 0, count: 512)
    let code = rd_kafka_fatal_error(pointer, &reason, reason.count)
    guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    let text = String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return KafkaError(code, detail: text, isFatal: true)
  }
}

extension KafkaConfiguration {
  /// Settings of every client, then the kind's, then the user's.
  func settings(_ kind: [String: String]) -> [String: String] {
    let common = [
      "bootstrap.servers": bootstrapServers, "client.id": clientId,
      "socket.nagle.disable": "true", "socket.keepalive.enable": "true",
      // Back within a second of the broker's return; the default waits up to 10 s.
      "reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "1000",
      // New topics and partitions are seen within 10 s, not 5 minutes.
      "topic.metadata.refresh.interval.ms": "10000",
      "log.connection.close": "false", "log.queue": "true",
    ]
    return common.merging(kind) { $1 }.merging(extra) { $1 }
  }
}

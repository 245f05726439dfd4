import CRdKafka
import Loop

/// The one owner of an `rd_kafka_t`: made in `init`, destroyed in `deinit`.
///
/// `@unchecked Sendable`: librdkafka's handles may be used from any thread, and the stored property is a constant.
/// Whoever drops the last reference waits for the library's threads: `retire` does so on the helper thread.
final class RawHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  /// - Parameters:
  ///   - settings: librdkafka's names and values; the configuration's `extra` has been merged in.
  ///   - events: what is to come as events on its queue.
  init(_ kind: rd_kafka_type_t, settings: [String: String], events: Int32 = 0) throws(KafkaError) {
    let conf = try Self.conf(settings)
    rd_kafka_conf_set_events(conf, events)
    var reason = [CChar](repeating: 0, count: 512)
    guard let pointer = rd_kafka_new(kind, conf, &reason, reason.count) else {
      rd_kafka_conf_destroy(conf)
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, detail: String(library: reason))
    }
    self.pointer = pointer
    // Log lines are events, too: nothing of ours runs on the library's threads.
    rd_kafka_set_log_queue(pointer, nil)
  }

  deinit {
    // Consumers were closed, or given up, before: never block here on a broker.
    rd_kafka_destroy_flags(pointer, Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE))
  }

  /// Takes the last reference and drops it on the loop's helper thread. Its queues and topics are to be gone by then.
  static func retire(_ handle: inout RawHandle?, on loop: EventLoop) async {
    guard let last = handle.take().map({ Unmanaged.passRetained($0) }) else { return }
    await loop.blocking { last.release() }
  }

  /// Fails for a setting that the library refuses.
  static func check(_ settings: [String: String]) throws(KafkaError) {
    rd_kafka_conf_destroy(try conf(settings))
  }

  private static func conf(_ settings: [String: String]) throws(KafkaError) -> OpaquePointer {
    guard let conf = rd_kafka_conf_new() else { throw KafkaError(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE) }
    var reason = [CChar](repeating: 0, count: 512)
    for (name, value) in settings
    where rd_kafka_conf_set(conf, name, value, &reason, reason.count) != RD_KAFKA_CONF_OK {
      rd_kafka_conf_destroy(conf)
      // The library's text for a bad value quotes the value, which may be a password.
      throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, detail: "the setting \(name) was refused")
    }
    return conf
  }
}

extension String {
  /// A text that the library wrote into a buffer.
  init(library buffer: [CChar]) {
    self.init(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
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

import CRdKafka
import Loop
import Observability

/// A message in librdkafka's memory: to be used within the call that gives it, and no longer.
public struct KafkaRecord {
  /// The place of its topic among those of the reader.
  public let topic: Int
  let name: String
  let pointer: UnsafeMutablePointer<rd_kafka_message_t>
  let reader: MessageReader

  /// The partition it was read from.
  public var partition: Int { Int(pointer.pointee.partition) }
  /// Its offset in the partition.
  public var offset: Int64 { pointer.pointee.offset }
  /// Its value, uncopied; `nil` is a tombstone.
  public var value: UnsafeRawBufferPointer? {
    pointer.pointee.payload.map { UnsafeRawBufferPointer(start: $0, count: pointer.pointee.len) }
  }
  /// The whole of it, copied.
  public var message: KafkaMessage { reader.read(pointer, of: name) }
}

/// A reader's librdkafka handle, with a queue for each topic. Confined to the loop.
final class ReaderHandle {
  private struct Topic {
    let name: String
    let handle: TopicHandle
    let queue: EventQueue
    let partitions: [Int32]
  }

  private let main: EventQueue
  private var topics: [Topic] = []
  private var raw: RawHandle?
  private let reader = MessageReader(headers: nil)
  private let logger: Logger
  private let chunk = UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>.allocate(
    capacity: ReaderHandle.most)
  private static let most = 256

  init(
    _ configuration: KafkaConfiguration, _ loop: EventLoop, _ names: [String], from offsets: [[Int64]],
    _ logger: Logger, arrived: @escaping () -> Void
  ) throws(KafkaError) {
    let raw = try RawHandle(
      RD_KAFKA_CONSUMER, settings: configuration.settings(Self.settings), events: RD_KAFKA_EVENT_ERROR)
    (self.raw, self.logger) = (raw, logger)
    main = EventQueue(rd_kafka_queue_get_main(raw.pointer), loop)
    for (name, offsets) in zip(names, offsets) {
      let handle = try TopicHandle(raw, name)
      let queue = EventQueue(rd_kafka_queue_new(raw.pointer), loop)
      let partitions = offsets.indices.filter { offsets[$0] >= 0 }.map { Int32($0) }
      topics.append(Topic(name: name, handle: handle, queue: queue, partitions: partitions))
      for partition in partitions {
        try handle.start(partition, at: offsets[Int(partition)], queue.pointer)
      }
      queue.watch(arrived)
    }
    main.watch { [unowned self] in serve() }
  }

  deinit { chunk.deallocate() }

  private static let settings = [
    // What is no longer there is seen by its offsets, which do not follow.
    "auto.offset.reset": "earliest", "enable.auto.commit": "false", "enable.auto.offset.store": "false",
    // Long poll: an idle reader costs the broker two requests a second.
    "fetch.min.bytes": "1", "fetch.wait.max.ms": "500", "fetch.error.backoff.ms": "20",
    // Of each topic, ahead of what is taken.
    "queued.min.messages": "2000", "queued.max.messages.kbytes": "4096",
  ]

  private func serve() {
    main.serve(budget: 100) { event in
      switch rd_kafka_event_type(event) {
      case RD_KAFKA_EVENT_LOG: logger.library(event)
      case RD_KAFKA_EVENT_ERROR: logger.waitedOut(event)
      default: break
      }
      return 1
    }
  }

  var isEmpty: Bool { topics.allSatisfy(\.queue.isEmpty) }

  /// Gives up to `maximum` messages of each topic to `body`, without waiting.
  func take(_ maximum: Int, _ body: (KafkaRecord) -> Void) -> Int {
    var taken = 0
    for (number, topic) in topics.enumerated() {
      var left = maximum
      while left > 0, let queue = topic.queue.pointer {
        let wanted = min(left, Self.most)
        let count = rd_kafka_consume_batch_queue(queue, 0, chunk, wanted)
        guard count > 0 else { break }
        for case let message? in UnsafeBufferPointer(start: chunk, count: count) {
          defer { rd_kafka_message_destroy(message) }
          guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
            logger.warning(
              "the reader goes on after an error",
              ["error": KafkaError(message.pointee.err).message, "topic": topic.name])
            continue
          }
          body(KafkaRecord(topic: number, name: topic.name, pointer: message, reader: reader))
        }
        taken += count
        left -= count
        if count < wanted { break }
      }
    }
    return taken
  }

  func clusterId(on loop: EventLoop, _ timeout: Duration) async -> String? {
    guard let raw else { return nil }
    return await loop.blocking { raw.clusterId(timeout) }
  }

  /// Of no more use: stops what is read and frees the handle, on the loop's helper thread.
  func close(on loop: EventLoop) async {
    guard raw != nil else { return }
    await stop(on: loop)
    for topic in topics { topic.queue.close() }
    topics = []
    main.close()
    await RawHandle.retire(&raw, on: loop)
  }
}

extension ReaderHandle {
  /// A call of its own: what it holds of the topics is let go before the handle is.
  private func stop(on loop: EventLoop) async {
    let reading = topics.map { (handle: $0.handle, partitions: $0.partitions) }
    await loop.blocking { for topic in reading { topic.partitions.forEach(topic.handle.stop) } }
  }
}

extension RawHandle {
  /// Waits until a broker has said it.
  fileprivate func clusterId(_ timeout: Duration) -> String? {
    guard let id = rd_kafka_clusterid(pointer, timeout.milliseconds()) else { return nil }
    defer { rd_kafka_mem_free(pointer, id) }
    return String(cString: id)
  }
}

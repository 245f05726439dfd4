import CRdKafka
import Loop

/// Asks where topics end, by a handle that is there already, on the loop's helper thread: a short call at a time.
///
/// Callers for one topic that wait at the same time share a request. Who comes while one is under way needs the next:
/// its answer may be too old.
actor TopicEnds {
  typealias Ends = [Int32: Int64]
  private typealias Caller = (
    deadline: ContinuousClock.Instant, continuation: UnsafeContinuation<Ends, any Error>
  )

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let handle: @Sendable () async throws -> RawHandle
  private var callers: [String: [Caller]] = [:]
  private var asking: Set<String> = []
  /// Partition counts with the time they were read: asking for ends should not need two requests.
  private var counts: [String: (count: Int, read: ContinuousClock.Instant)] = [:]

  /// Others wait behind it.
  private static let longestCall: Duration = .milliseconds(500)

  init(_ loop: EventLoop, handle: @escaping @Sendable () async throws -> RawHandle) {
    (self.loop, self.handle) = (loop, handle)
  }

  /// The offset that each partition's next message will get.
  func ends(of topic: String, within timeout: Duration) async throws -> Ends {
    try await withUnsafeThrowingContinuation { continuation in
      callers[topic, default: []].append((.now + timeout, continuation))
      if asking.insert(topic).inserted { loop.task { await self.answer(topic) } }
    }
  }

  private func answer(_ topic: String) async {
    while let callers = callers.removeValue(forKey: topic) {
      let result: Result<Ends, any Error>
      do {
        result = .success(try await ask(topic, until: callers.map(\.deadline).max() ?? .now))
      } catch { result = .failure(error) }
      for caller in callers { caller.continuation.resume(with: result) }
    }
    asking.remove(topic)
  }

  /// Brokers that are away, or are still taking a new topic's partitions up, are asked again.
  private func ask(_ topic: String, until end: ContinuousClock.Instant) async throws -> Ends {
    let start = ContinuousClock.now
    while true {
      do {
        let known = counts[topic].flatMap { ContinuousClock.now - $0.read < .seconds(10) ? $0.count : nil }
        let handle = try await handle()
        let limit = min(Self.longestCall, end - .now)
        let (ends, count) = try await loop.blocking { try handle.ends(of: topic, partitions: known, limit) }
        if known == nil { counts[topic] = (count, .now) }
        return ends
      } catch let error as KafkaError where error.isRetryable {
        counts[topic] = nil
        // A topic that is still unknown after a second is no new one.
        let isUnknown = error.code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART.rawValue
        let patience = isUnknown ? min(end, start + .seconds(1)) : end
        guard .now + .milliseconds(25) < patience else { throw error }
        await Wakeup(loop).wait(atMost: .milliseconds(25))
      }
    }
  }
}

// Calls that block.
extension RawHandle {
  /// One request to each broker for all partitions, not two for each partition as the watermark calls make.
  fileprivate func ends(
    of topic: String, partitions known: Int?, _ limit: Duration
  ) throws(KafkaError) -> (ends: [Int32: Int64], partitions: Int) {
    let end = ContinuousClock.now + limit
    var found = known
    if found == nil { found = try metadata(nil, limit)[topic] }
    guard let count = found else { throw KafkaError(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) }
    let partitions = (0..<count).map { KafkaPartition(topic: topic, partition: Int32($0)) }
    // Kafka's protocol gives the end for the timestamp -1.
    let list = PartitionList(Dictionary(partitions.map { ($0, -1) }, uniquingKeysWith: { $1 }))
    let code = rd_kafka_offsets_for_times(pointer, list.pointer, (end - .now).milliseconds())
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(code) }
    if let error = list.firstError { throw error }
    let read = PartitionList.read(list.pointer).map { ($0.key.partition, $0.value) }
    return (Dictionary(read, uniquingKeysWith: { $1 }), count)
  }

  /// Topics and their numbers of partitions: all, or one, which a development broker then creates.
  func metadata(_ topic: String?, _ timeout: Duration) throws(KafkaError) -> [String: Int] {
    let handle = topic.flatMap { rd_kafka_topic_new(pointer, $0, nil) }
    defer { if let handle { rd_kafka_topic_destroy(handle) } }
    var answer: UnsafePointer<rd_kafka_metadata>?
    let code = rd_kafka_metadata(pointer, topic == nil ? 1 : 0, handle, &answer, timeout.milliseconds())
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else { throw KafkaError(code) }
    defer { rd_kafka_metadata_destroy(answer) }
    var topics: [String: Int] = [:]
    for index in 0..<Int(answer.pointee.topic_cnt) {
      let topic = answer.pointee.topics[index]
      guard topic.err == RD_KAFKA_RESP_ERR_NO_ERROR, let name = topic.topic else { continue }
      topics[String(cString: name)] = Int(topic.partition_cnt)
    }
    return topics
  }
}

import CRdKafka
import Loop
import Observability
import Threads

/// A consumer on its loop: the calls that wait for messages, and the handle. `ConsumerCore+Group` has its life in the
/// group.
actor ConsumerCore {
  typealias StartOffsets = @Sendable ([KafkaPartition]) async throws -> [KafkaPartition: Int64]

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  nonisolated let loop: EventLoop
  let logger: Logger
  let startOffsets: StartOffsets?
  private let topics: [String]
  private let reader: MessageReader
  private let makeRaw: @Sendable () throws(KafkaError) -> RawHandle
  /// `nil` before the loop has begun with it, while it is made anew, and after the end.
  var handle: ConsumerHandle?
  /// What callers see from any thread.
  nonisolated let assignment = Locked<Set<KafkaPartition>>([])

  /// Calls that wait for messages: of one topic, or of any.
  private var asks: [Int: (topic: String?, alarm: Wakeup)] = [:]
  private var lastAsk = 0
  private var gatherings: [String?: Gathering] = [:]
  private let gatheringBound: Duration
  /// Why no call can succeed any more.
  private var end: KafkaError?

  /// Partitions that were given and wait for their start offsets.
  var starting: Starting?
  var questions = 0
  var lastFence: ContinuousClock.Instant?
  /// Next offsets for lag monitors that were not sent yet.
  var commits: [KafkaPartition: Int64] = [:]
  var lastCommit = ContinuousClock.now
  var commitTimer: LoopTimer?
  var awaited: [Int: UnsafeContinuation<KafkaError?, Never>] = [:]
  var lastAwaited = 0
  private var isRejoining = false
  private var isClosing = false
  private var left: Gate?
  private let ended: Gate

  init(
    _ loop: EventLoop, topics: [String], headers: [String]?, gathering: Duration, _ logger: Logger,
    _ startOffsets: StartOffsets?, makeRaw: @escaping @Sendable () throws(KafkaError) -> RawHandle
  ) {
    (self.loop, self.logger, self.startOffsets, self.makeRaw) = (loop, logger, startOffsets, makeRaw)
    self.topics = topics
    reader = MessageReader(headers: headers)
    gatheringBound = gathering
    ended = Gate(loop)
  }

  /// Begins to live on the loop, until `close`.
  func open(_ raw: RawHandle) {
    do {
      let handle = try ConsumerHandle(raw, topics: topics, loop)
      handle.main.watch { self.assumeIsolated { $0.serve() } }
      for topic in handle.topics {
        topic.queue.watch { [name = topic.name] in self.assumeIsolated { $0.arrived(name) } }
      }
      self.handle = handle
    } catch {
      end = error
    }
  }

  // MARK: Messages

  func nextBatch(_ topic: String?, _ maximum: Int, _ wait: Duration) async throws -> [KafkaMessage] {
    let deadline = ContinuousClock.now + wait
    while true {
      try Task.checkCancellation()
      if isThere(topic) {
        await loop.endOfTurn(notBefore: gatherings[topic]?.next)
        gatherings[topic, default: Gathering(loop, atMost: gatheringBound)].began()
      }
      if let end { throw end }
      // Also when nothing is there: by this the library knows that it is used (`max.poll.interval.ms`).
      let messages = take(topic, maximum)
      if !messages.isEmpty || .now >= deadline { return messages }
      await arrival(topic, until: deadline)
    }
  }

  private func isThere(_ topic: String?) -> Bool {
    handle?.topics.contains { (topic == nil || $0.name == topic) && !$0.queue.isEmpty } ?? false
  }

  private func take(_ topic: String?, _ maximum: Int) -> [KafkaMessage] {
    var messages: [KafkaMessage] = []
    guard let handle else { return messages }
    for own in handle.topics where topic == nil || own.name == topic {
      handle.take(own, maximum - messages.count, reader, into: &messages) { error in
        logger.warning("the consumer goes on after an error", ["error": error.message, "topic": own.name])
      }
    }
    loop.arrived(messages.count)
    return messages
  }

  /// Waits until something may have come, a second at most.
  private func arrival(_ topic: String?, until deadline: ContinuousClock.Instant) async {
    lastAsk += 1
    let number = lastAsk
    let alarm = Wakeup(loop)
    asks[number] = (topic, alarm)
    await alarm.wait(until: min(deadline, .now + .seconds(1)))
    asks[number] = nil
  }

  private func arrived(_ topic: String) {
    for ask in asks.values where ask.topic == nil || ask.topic == topic { ask.alarm.signal() }
  }

  /// Goes on at other offsets.
  func seek(_ to: [KafkaPartition: Int64]) async throws {
    if let end { throw end }
    let own = mine(to)
    guard !own.isEmpty, let raw = handle?.raw else { return }
    if let error = await loop.blocking({ raw.seek(own) }) { throw error }
  }

  // MARK: The group's events

  private func serve() {
    handle?.main.serve(budget: Self.budget) { event in
      switch rd_kafka_event_type(event) {
      case RD_KAFKA_EVENT_REBALANCE: rebalanced(event)
      case RD_KAFKA_EVENT_OFFSET_COMMIT: committed(event)
      case RD_KAFKA_EVENT_LOG: logger.library(event)
      case RD_KAFKA_EVENT_ERROR where rd_kafka_event_error_is_fatal(event) != 0:
        broke(KafkaError(event: event))
      case RD_KAFKA_EVENT_ERROR: logger.waitedOut(event)
      default: break
      }
      return 1
    }
    if handle?.hasLeft == true { left?.open() }
  }

  private static let budget = 100
  /// Two members that share a slot by mistake would take it from each other for ever.
  private static let fencesApart: Duration = .seconds(60)

  private func broke(_ error: KafkaError) {
    guard end == nil, !isRejoining else { return }
    guard error.isFence, lastFence.map({ .now - $0 > Self.fencesApart }) ?? true else { return fail(error) }
    logger.warning("fenced: joining again", ["error": error.message])
    lastFence = .now
    isRejoining = true
    loop.task { await self.rejoin() }
  }

  private func fail(_ error: KafkaError) {
    end = error
    for ask in asks.values { ask.alarm.signal() }
  }

  /// Puts a new handle in the place of a fenced one.
  private func rejoin() async {
    await letGo(within: .seconds(2))
    while !isClosing {
      do {
        var raw: RawHandle? = try await loop.blocking { [makeRaw] in try makeRaw() }
        if isClosing { return await RawHandle.retire(&raw, on: loop) }
        if let raw { open(raw) }
        isRejoining = false
        return
      } catch {
        logger.error("no consumer could be made", ["error": "\(error)"])
        await Wakeup(loop).wait(atMost: .seconds(1))
      }
    }
  }

  // MARK: Leaving

  /// Leaves and frees the handle; returns a second after `limit` at the latest.
  func close(within limit: Duration, isCrash: Bool = false) async {
    if !isClosing {
      isClosing = true
      fail(.closed)
      loop.task { await self.end(within: isCrash ? nil : limit) }
    }
    await ended.wait(atMost: limit + .seconds(1))
  }

  private func end(within limit: Duration?) async {
    await letGo(within: limit)
    ended.open()
  }

  /// - Parameter limit: how long leaving may take; `nil` is a crash.
  private func letGo(within limit: Duration?) async {
    if let handle, let limit {
      // Partitions that were given and not taken yet: librdkafka would wait for them for ever.
      let isStarting = starting != nil
      forget()
      if isStarting { handle.unassign() }
      let gate = Gate(loop)
      left = gate
      if handle.leave() { await gate.wait(atMost: limit) }
    }
    forgetOffsets()
    var raw = handle.take()?.close()
    await RawHandle.retire(&raw, on: loop)
  }
}

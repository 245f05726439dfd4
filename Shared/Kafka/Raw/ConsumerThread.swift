import CRdKafka
import Observability
import Synchronization

/// The consumer's one thread: the only one that polls, assigns, commits, seeks and closes. Confined to it, so
/// nothing here is locked.
final class ConsumerThread {
  private let core: ConsumerCore
  private let handle: ConsumerHandle
  /// Messages that were read and not handed out, as when an ask was cancelled meanwhile.
  private var buffer: [KafkaMessage] = []
  private var assigned: Set<Slot> = []
  private var starting: Starting?
  private var questions = 0
  private var lastCommit = ContinuousClock.now
  private var commits = 0
  private var commitAnswer: (number: Int, code: rd_kafka_resp_err_t)?
  private let lastFence: ContinuousClock.Instant?
  private var isFenced = false

  /// A partition by its topic's number.
  private struct Slot: Hashable {
    let topic: Int
    let partition: Int32
  }

  /// Partitions that were given and wait for their start offsets.
  private struct Starting {
    let partitions: [KafkaPartition]
    var question = 0
    var failures = 0
    /// When to ask (again): after a back-off, or when an answer does not come.
    var next = ContinuousClock.now
    var task: Task<Void, Never>?
  }

  /// For lag monitors a commit every 200 ms is plenty, and one for each small batch costs the broker dearly.
  private static let commitInterval = Duration.milliseconds(200)

  /// Why a run has ended.
  enum End { case closed, fenced }

  /// Two members that share a slot by mistake would take it from each other for ever.
  private static let fencesApart: Duration = .seconds(60)

  /// `nil` if the core has been closed already.
  /// - Parameter lastFence: when this consumer last began anew because it was fenced.
  init?(_ core: ConsumerCore, lastFence: ContinuousClock.Instant?) {
    guard let handle = core.state.withLock({ $0.handle }) else { return nil }
    self.core = core
    self.handle = handle
    self.lastFence = lastFence
  }

  func run() -> End {
    handle.context.rebalanced = { [unowned self] code, partitions in rebalance(code, partitions) }
    handle.context.committed = { [unowned self] number, code in commitAnswer = (number, code) }
    defer {
      handle.context.rebalanced = nil
      handle.context.committed = nil
    }
    while step() {}
    let (end, isCrash) = core.state.withLock { state in
      // From here on nobody wakes the handle.
      state.handle = nil
      return (state.end ?? .now, state.isCrash)
    }
    if isFenced {
      leave(by: .now + .seconds(2))
      return .fenced
    }
    core.abandon()
    // After a crash the handle's end does the rest.
    if !isCrash { leave(by: end) }
    return .closed
  }

  private enum Turn {
    case close
    case commands([ConsumerCore.Command])
    case answer(Int, Result<[KafkaPartition: Int64], any Error>)
    case commit([KafkaPartition: Int64])
    case poll(ConsumerCore.Ask, limit: Duration)
    case sleep(Duration)
  }

  private func step() -> Bool {
    askForOffsets()
    switch nextTurn() {
    case .close: return false
    case .commands(let commands): for command in commands { perform(command) }
    case .answer(let question, let result): begin(question, result)
    case .commit(let offsets):
      lastCommit = .now
      commit(offsets)
    case .poll(let ask, let limit): serve(ask, limit)
    case .sleep(let limit): core.signal.wait(limit)
    }
    return !isFenced
  }

  /// What to do now; says where the thread will be in the same breath, so that no wake is lost.
  private func nextTurn() -> Turn {
    let now = ContinuousClock.now
    return core.state.withLock { state in
      state.place = .working
      if state.end != nil { return .close }
      if let (question, result) = state.answer {
        state.answer = nil
        return .answer(question, result)
      }
      if !state.commands.isEmpty {
        defer { state.commands = [] }
        return .commands(state.commands)
      }
      var next = starting?.next ?? now + .seconds(3600)
      if !state.commits.isEmpty {
        if now - lastCommit >= Self.commitInterval {
          defer { state.commits = [:] }
          return .commit(state.commits)
        }
        next = min(next, lastCommit + Self.commitInterval)
      }
      guard let ask = state.asks.first else {
        state.place = .sleeping
        return .sleep(next - now)
      }
      state.place = .polling
      next = state.asks.reduce(next) { min($0, $1.deadline) }
      return .poll(ask, limit: max(.zero, next - now))
    }
  }
}

// Messages.
extension ConsumerThread {
  private func serve(_ ask: ConsumerCore.Ask, _ limit: Duration) {
    if buffer.isEmpty { poll(limit) }
    while !buffer.isEmpty, buffer.count < ask.maximum, poll(.zero) {}
    if let fatal = handle.fatal {
      if fatal.isFence, lastFence.map({ .now - $0 > Self.fencesApart }) ?? true {
        core.logger.warning("fenced: joining again", ["error": fatal.message])
        isFenced = true
        return
      }
      core.take(ask.id)?.continuation.resume(throwing: fatal)
    } else if !buffer.isEmpty {
      // An ask that was cancelled meanwhile leaves the messages to the next.
      guard let ask = core.take(ask.id) else { return }
      let batch = buffer.count <= ask.maximum ? buffer : Array(buffer.prefix(ask.maximum))
      buffer.removeFirst(batch.count)
      ask.continuation.resume(returning: batch)
    } else {
      expire(upTo: ask)
    }
  }

  /// Ends the ask that was polled for, and any other, whose time is over.
  private func expire(upTo ask: ConsumerCore.Ask) {
    let now = ContinuousClock.now
    let over = core.state.withLock { state in
      let over = state.asks.filter { $0.deadline <= now }
      state.asks.removeAll { $0.deadline <= now }
      return over
    }
    for ask in over { ask.continuation.resume(returning: []) }
  }

  /// Whether there may be more.
  @discardableResult
  private func poll(_ limit: Duration) -> Bool {
    switch handle.poll(limit) {
    case .nothing: return false
    case .notice(let error):
      core.logger.warning("the consumer goes on after an error", ["error": error.message])
      return true
    case .message(let message, let topic):
      // librdkafka drops what it read before a revocation; this makes sure.
      if assigned.contains(Slot(topic: topic, partition: message.partition)) { buffer.append(message) }
      return true
    }
  }
}

// Partitions.
extension ConsumerThread {
  private func rebalance(
    _ code: rd_kafka_resp_err_t, _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?
  ) {
    let partitions = Array(PartitionList.read(list).keys)
    forget()
    guard code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, !partitions.isEmpty else {
      if code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        _ = handle.assign([:])
      } else {
        handle.unassign()
      }
      return
    }
    // librdkafka waits for the assignment; the thread goes on meanwhile, so that a close is not kept waiting.
    starting = Starting(partitions: partitions)
  }

  /// The partitions are gone, or about to be replaced: nothing of them is handed out any more.
  private func forget() {
    buffer.removeAll()
    assigned = []
    starting?.task?.cancel()
    starting = nil
    let commits = core.state.withLock { state in
      defer { state.commits = [:] }
      return state.commits
    }
    if !handle.isAssignmentLost { commit(commits) }
    let before = core.state.withLock { state in
      defer { state.assignment = [] }
      return state.assignment
    }
    if !before.isEmpty { core.logger.info("partitions given back", ["partitions": Self.names(before)]) }
  }

  private static func names(_ partitions: some Collection<KafkaPartition>) -> String {
    Dictionary(grouping: partitions, by: \.topic).sorted { $0.key < $1.key }.map { topic, partitions in
      "\(topic)/" + partitions.map(\.partition).sorted().map(String.init).joined(separator: ",")
    }.joined(separator: " ")
  }

  /// Asks for start offsets if it is time; a question that is not answered within 30 s is asked anew.
  private func askForOffsets() {
    guard var starting, starting.next <= .now else { return }
    questions += 1
    if let task = starting.task {
      task.cancel()
      core.logger.warning("start offsets were not given within 30 s; asking again")
    }
    starting.question = questions
    starting.next = .now + .seconds(30)
    starting.task = Task.detached { [core, questions, partitions = starting.partitions] in
      do {
        core.answer(questions, .success(try await core.startOffsets(partitions)))
      } catch {
        core.answer(questions, .failure(error))
      }
    }
    self.starting = starting
  }

  private func begin(_ question: Int, _ result: Result<[KafkaPartition: Int64], any Error>) {
    guard var starting, starting.question == question else { return }
    let offsets: [KafkaPartition: Int64]
    do {
      offsets = try result.get()
    } catch {
      starting.failures += 1
      starting.task = nil
      starting.next = .now + min(.milliseconds(50) * (1 << min(starting.failures, 7)), .seconds(5))
      self.starting = starting
      return core.logger.warning("start offsets could not be read; asking again", ["error": "\(error)"])
    }
    self.starting = nil
    let wanted = starting.partitions.map { ($0, offsets[$0] ?? -1) }
    if let error = handle.assign(Dictionary(wanted, uniquingKeysWith: { $1 })) {
      return core.logger.warning("the assignment was refused", ["error": error.message])
    }
    assigned = Set(
      starting.partitions.map { Slot(topic: handle.number(of: $0.topic), partition: $0.partition) })
    core.state.withLock { $0.assignment = Set(starting.partitions) }
    core.logger.info("partitions taken", ["partitions": Self.names(starting.partitions)])
  }
}

// Commands.
extension ConsumerThread {
  private func perform(_ command: ConsumerCore.Command) {
    let error =
      switch command {
      case .seek(let offsets, _): seek(offsets)
      case .commit(let offsets, _): commitAndWait(offsets)
      }
    if let error {
      command.continuation.resume(throwing: error)
    } else {
      command.continuation.resume()
    }
  }

  private func seek(_ offsets: [KafkaPartition: Int64]) -> KafkaError? {
    let own = mine(offsets)
    guard !own.isEmpty else { return nil }
    buffer.removeAll { own[KafkaPartition(topic: $0.topic, partition: $0.partition)] != nil }
    return handle.seek(own)
  }

  private func commit(_ offsets: [KafkaPartition: Int64]) {
    let own = mine(offsets)
    if !own.isEmpty { handle.commit(own) }
  }

  private func mine(_ offsets: [KafkaPartition: Int64]) -> [KafkaPartition: Int64] {
    let assignment = core.assignment
    return offsets.filter { assignment.contains($0.key) }
  }

  private func commitAndWait(_ offsets: [KafkaPartition: Int64]) -> KafkaError? {
    commits += 1
    if let error = handle.commit(offsets, number: commits) { return error }
    let bound = ContinuousClock.now + .seconds(10)
    while .now < bound, core.state.withLock({ $0.end == nil }) {
      handle.pollReplies(.milliseconds(50))
      guard let (number, code) = commitAnswer, number == commits else { continue }
      return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaError(code)
    }
    return KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, detail: "the commit was not answered")
  }

  private func leave(by end: ContinuousClock.Instant) {
    // Partitions that were given and not taken yet: librdkafka's close would wait for them for ever.
    let isStarting = starting != nil
    forget()
    if isStarting { handle.unassign() }
    handle.close(by: end)
  }
}

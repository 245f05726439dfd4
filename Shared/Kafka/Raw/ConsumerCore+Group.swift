import CRdKafka
import Loop
import Observability

/// Partitions that were given and wait for their start offsets.
struct Starting {
  let partitions: [KafkaPartition]
  var question = 0
  var failures = 0
  var task: Task<Void, Never>?
  /// To ask again: after a back-off, or when an answer does not come.
  var timer: LoopTimer?
}

// Partitions.
extension ConsumerCore {
  private static let patience: Duration = .seconds(30)

  /// librdkafka waits for the assignment; the loop goes on meanwhile.
  func rebalanced(_ event: OpaquePointer) {
    let partitions = Array(PartitionList.read(rd_kafka_event_topic_partition_list(event)).keys)
    forget()
    guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS else {
      handle?.unassign()
      return
    }
    guard startOffsets != nil, !partitions.isEmpty else { return take(partitions, at: nil) }
    starting = Starting(partitions: partitions)
    ask()
  }

  private func ask() {
    guard let startOffsets, let partitions = starting?.partitions else { return }
    questions += 1
    let question = questions
    starting?.question = question
    starting?.task = loop.task {
      do {
        let offsets = try await startOffsets(partitions)
        await self.answered(question, .success(offsets))
      } catch { await self.answered(question, .failure(error)) }
    }
    askAgain(after: Self.patience)
  }

  private func askAgain(after delay: Duration) {
    starting?.timer.map(loop.cancel)
    starting?.timer = loop.schedule(after: delay) { self.assumeIsolated { $0.timeIsUp() } }
  }

  private func timeIsUp() {
    if let task = starting?.task.take() {
      logger.warning("start offsets were not given within 30 s; asking again")
      task.cancel()
    }
    ask()
  }

  private func answered(_ question: Int, _ result: Result<[KafkaPartition: Int64], any Error>) {
    guard let starting, starting.question == question else { return }
    switch result {
    case .success(let offsets):
      starting.timer.map(loop.cancel)
      self.starting = nil
      take(starting.partitions, at: offsets)
    case .failure(let error):
      self.starting?.task = nil
      self.starting?.failures += 1
      askAgain(after: min(.milliseconds(100) * (1 << min(starting.failures, 6)), .seconds(5)))
      logger.warning("start offsets could not be read; asking again", ["error": "\(error)"])
    }
  }

  private func take(_ partitions: [KafkaPartition], at offsets: [KafkaPartition: Int64]?) {
    if let error = handle?.assign(partitions, offsets) {
      return logger.warning("the assignment was refused", ["error": error.message])
    }
    guard !partitions.isEmpty else { return }
    assignment.withLock { $0 = Set(partitions) }
    logger.info("partitions taken", ["partitions": Self.names(partitions)])
  }

  /// The partitions are gone, or about to be replaced: nothing of them is handed out any more.
  func forget() {
    if handle?.isAssignmentLost == false { sendCommits() }
    commits = [:]
    handle?.forget()
    starting?.task?.cancel()
    starting?.timer.map(loop.cancel)
    starting = nil
    let before = assignment.withLock { assignment in
      defer { assignment = [] }
      return assignment
    }
    if !before.isEmpty { logger.info("partitions given back", ["partitions": Self.names(before)]) }
  }

  func mine(_ offsets: [KafkaPartition: Int64]) -> [KafkaPartition: Int64] {
    let assignment = assignment.withLock { $0 }
    return offsets.filter { assignment.contains($0.key) }
  }

  private static func names(_ partitions: some Collection<KafkaPartition>) -> String {
    Dictionary(grouping: partitions, by: \.topic).sorted { $0.key < $1.key }.map { topic, partitions in
      "\(topic)/" + partitions.map(\.partition).sorted().map(String.init).joined(separator: ",")
    }.joined(separator: " ")
  }
}

// Commits.
extension ConsumerCore {
  /// For lag monitors a commit every 200 ms is plenty, and one for each small batch costs the broker dearly.
  private static let commitInterval: Duration = .milliseconds(200)

  func commit(_ next: [KafkaPartition: Int64]) {
    commits.merge(next) { $1 }
    guard commitTimer == nil else { return }
    commitTimer = loop.schedule(at: lastCommit + Self.commitInterval) {
      self.assumeIsolated { core in
        core.commitTimer = nil
        core.sendCommits()
      }
    }
  }

  private func sendCommits() {
    let own = mine(commits)
    commits = [:]
    guard !own.isEmpty else { return }
    lastCommit = .now
    handle?.commit(own)
  }

  func commitAndWait(_ next: [KafkaPartition: Int64]) async throws {
    guard let handle else { throw KafkaError.closed }
    lastAwaited += 1
    let number = lastAwaited
    if let error = handle.commit(next, number: number) { throw error }
    let late = KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, detail: "the commit was not answered")
    let timer = loop.schedule(after: .seconds(10)) {
      self.assumeIsolated { $0.awaited.removeValue(forKey: number)?.resume(returning: late) }
    }
    let error = await withUnsafeContinuation { awaited[number] = $0 }
    loop.cancel(timer)
    if let error { throw error }
  }

  func committed(_ event: OpaquePointer) {
    let (number, error) = ConsumerHandle.committed(event)
    awaited.removeValue(forKey: number)?.resume(returning: error)
  }

  /// The handle goes: no answer comes any more.
  func forgetOffsets() {
    forget()
    let left = awaited.values
    awaited = [:]
    for waiter in left { waiter.resume(returning: .closed) }
  }
}

import Loop
import Observability
import Synchronization

/// The link of an uplink: it reads, has a batch handled, and only then lets the acknowledgements go.
final class UplinkLink: Link {
  /// How the owner wants it to end.
  enum Wish: Sendable { case stop, leave }

  /// Who handles the batch that is held.
  private enum Work {
    case none
    /// The batch may still grow.
    case gathering(LoopTimer)
    case handling(Task<Void, Never>)
    /// `handle` threw.
    case pausing(LoopTimer)
  }

  /// What a batch holds at most; the message that goes beyond the bytes is its last.
  struct Limits {
    let messages: Int
    let bytes: Int
  }

  private let limits: Limits
  private let reconnects: Bool
  private let handling: @Sendable ([MQTTMessage]) async throws -> Void
  private let tally: UplinkTally
  private var gathering: Gathering
  private let patience: (MQTTMessage) -> Duration
  /// So many of the batch have been asked for their patience.
  private var known = 0

  private var batch: [MQTTMessage] = []
  private var batchBytes = 0
  private var work = Work.none
  private var failures = 0
  /// Which batch it is: the task of a former one has nothing to say.
  private var round = 0

  private var isStarted = false
  private var ending: (wish: Wish, limit: LoopTimer)?
  private var leaving: [Answer<Bool>] = []
  private var barrier = Barrier()
  /// Nothing is left at the broker, and it has been told to forget the session.
  private var hasLeft = false

  init(
    configuration: MQTTConfiguration, loop: EventLoop, subscriptions: [MQTTSubscription], limits: Limits,
    gathering: Gathering, patience: @escaping (MQTTMessage) -> Duration, logger: Logger,
    standing: Standing, tally: UplinkTally, reconnects: Bool,
    handle: @escaping @Sendable ([MQTTMessage]) async throws -> Void,
    onState: @escaping (MQTTSessionState) -> Void
  ) {
    self.limits = limits
    self.reconnects = reconnects
    self.gathering = gathering
    self.patience = patience
    self.tally = tally
    handling = handle
    super.init(
      configuration: configuration, loop: loop, subscriptions: subscriptions, logger: logger,
      standing: standing,
      onState: onState)
  }

  /// Starts, once.
  func begin() {
    guard !isStarted else { return }
    isStarted = true
    start()
  }

  // MARK: Reading

  override var readsAtOnce: Int { 256 }
  override var hasRoom: Bool { batch.count < limits.messages && batchBytes < limits.bytes }
  /// While leaving, the session is only drained.
  override var subscribes: Bool { ending?.wish != .leave }

  override func received(_ message: MQTTMessage) {
    progressed = true
    // What comes after the disconnect is not acknowledged: it waits for whoever comes next.
    guard phase == .connected else { return }
    loop.arrived(1)
    tally.received.add(1, ordering: .relaxed)
    batch.append(message)
    batchBytes += message.payload.count
    holdWriting()
  }

  override func hasRead() {
    guard !batch.isEmpty else { return finishIfWanted() }
    switch work {
    case .none, .gathering:
      if !hasRoom || ending != nil { return deliver() }
      gather()
    case .handling, .pausing: break
    }
  }

  /// In a crowd the batch waits for its window, else as long as its messages have patience.
  private func gather() {
    let isNew = if case .none = work { true } else { false }
    if gathering.next > loop.now {
      if isNew { work = .gathering(loop.schedule(at: gathering.next) { [self] in deliver() }) }
      return
    }
    let patience = batch[known...].map(patience)
    known = batch.count
    if patience.contains(where: { $0 <= .zero }) { return deliver() }
    if isNew, let longest = patience.max() {
      work = .gathering(loop.schedule(after: longest) { [self] in deliver() })
    }
  }

  // MARK: Handling

  /// Has the batch handled, until that has succeeded. Nothing is read or written meanwhile, except pings.
  private func deliver() {
    if case .gathering(let timer) = work { loop.cancel(timer) }
    gathering.began()
    holdEverything()
    round += 1
    (failures, known) = (0, 0)
    tryOnce()
  }

  private func tryOnce() {
    let me = LoopBound(loop, confined: self)
    work = .handling(
      loop.task { [batch, handling, round] in
        do {
          try await handling(batch)
          me.value.handled(round, nil)
        } catch { me.value.handled(round, error) }
      })
  }

  private func handled(_ round: Int, _ error: (any Error)?) {
    guard round == self.round, case .handling = work else { return }
    guard let error else {
      tally.batches.add(1, ordering: .relaxed)
      work = .none
      batch.removeAll(keepingCapacity: true)
      batchBytes = 0
      if !standing.isUp.load(ordering: .relaxed) { limitWait() }
      release()
      return finishIfWanted()
    }
    tally.retries.add(1, ordering: .relaxed)
    logger.warning(
      "uplink batch not handled, trying again",
      ["clientId": configuration.clientId, "messages": "\(batch.count)", "error": "\(error)"])
    if isGone { return giveUp() }
    let pause = Duration.nanoseconds(Int64(clamping: backoff.delay(attempt: failures)))
    failures += 1
    work = .pausing(loop.schedule(after: pause) { [self] in tryOnce() })
  }

  override func goneWhileHeld() {
    if case .pausing = work { giveUp() }
  }

  /// The broker sends the batch again: nothing of it was acknowledged.
  private func giveUp() { lost(.connectionLost("before the batch was handled")) }

  override func dropped() -> Bool {
    switch work {
    case .none: break
    case .gathering(let timer), .pausing(let timer): loop.cancel(timer)
    case .handling(let task): task.cancel()
    }
    work = .none
    round += 1
    if !batch.isEmpty { tally.dropped.add(1, ordering: .relaxed) }
    batch.removeAll()
    batchBytes = 0
    known = 0
    barrier = Barrier()
    // Leaving needs a connection, stopping does not.
    return reconnects && ending?.wish != .stop
  }

  // MARK: Ending

  /// Ends within `timeout`: the first wish counts, the last time-out.
  func finish(_ wish: Wish, timeout: Duration, _ answer: Answer<Bool>) {
    guard phase != .idle else {
      isStarted = true
      return answer.give(wish == .stop || hasLeft)
    }
    leaving.append(answer)
    if let ending { loop.cancel(ending.limit) }
    ending = (ending?.wish ?? wish, loop.schedule(after: timeout) { [self] in end(.requested) })
    if case .gathering = work { deliver() } else { finishIfWanted() }
  }

  /// The next step to the end, when nothing is in hand.
  private func finishIfWanted() {
    guard let ending, case .none = work, batch.isEmpty else { return }
    switch (ending.wish, phase) {
    case (.stop, .connected): disconnect(endSession: false)
    case (.stop, .waiting), (.stop, .connecting): end(.requested)
    case (.leave, .connected): drain()
    case (.leave, .waiting), (.leave, .connecting), (_, .idle), (_, .disconnecting): break
    }
  }

  override func ended() {
    if let ending { loop.cancel(ending.limit) }
    let isDone = ending?.wish == .stop || hasLeft
    for answer in leaving { answer.give(isDone) }
    leaving.removeAll()
  }

  override func answered(id: Int, refusal: MQTTReasonCode?) { barrier.pending.remove(id) }
}

/// Leaving without losing anything.
extension UplinkLink {
  /// Ends the subscriptions, and again until a whole round trip brought no message.
  ///
  /// The broker answers packets in order, and a PUBACK makes it send what it had queued for us. So an UNSUBSCRIBE
  /// sent after all PUBACKs is a barrier: what was queued comes before its answer. Two quiet round trips in a row end
  /// it.
  struct Barrier {
    /// The UNSUBSCRIBEs that are not answered yet.
    var pending: Set<Int> = []
    var isOpen = false
    var receivedBefore = 0
    var quietRounds = 0
  }

  private func drain() {
    guard let handle, barrier.pending.isEmpty else { return }
    let received = tally.received.load(ordering: .relaxed)
    if barrier.isOpen {
      barrier.quietRounds = received == barrier.receivedBefore ? barrier.quietRounds + 1 : 0
    }
    barrier.isOpen = true
    barrier.receivedBefore = received
    if barrier.quietRounds < 2 {
      for subscription in subscriptions {
        if let id = try? handle.unsubscribe(subscription.filter) { barrier.pending.insert(id) }
      }
      needsWrite()
    }
    // Without a subscription there is nothing to wait for.
    guard barrier.pending.isEmpty else { return }
    hasLeft = true
    disconnect(endSession: true)
  }
}

import BridgeDomain
import FoundationEssentials
import Loop
import Observability
import Synchronization
import Wire

/// Publishes batches to the broker and says what became of them.
///
/// All of a batch is written before the first answer is awaited, but for the commands of one lane: each is written when the
/// one before it is at the broker, so that none overtakes one that nobody listened to. Without the broker it waits: commands
/// stay PENDING, and each is dropped once its `deliverBy` has passed.
actor DownlinkPublisher {
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let session: DownlinkSession
  private let announcer: BrokerAnnouncer
  private let answers: AnswerFilterTable
  private let metrics: BridgeMetrics
  private let logger: Logger
  /// As timelines name it.
  private let replica: String
  private var holds = DeviceHolds()
  private nonisolated let isStopping = Atomic(false)

  /// What the library cannot write is tried so often before it counts as refused.
  private static let triesOfFailing = 3
  private static let firstBackoff: Duration = .milliseconds(50)

  init(
    loop: EventLoop, replica: String, session: DownlinkSession, announcer: BrokerAnnouncer,
    answers: AnswerFilterTable, metrics: BridgeMetrics, logger: Logger
  ) {
    self.replica = "bridge-\(replica)"
    (self.loop, self.session, self.announcer) = (loop, session, announcer)
    (self.answers, self.metrics) = (answers, metrics)
    self.logger = logger
  }

  /// Ends waits for the broker: `publish` gives nil from now on where it would wait.
  nonisolated func stop() {
    isStopping.store(true, ordering: .relaxed)
    session.wake()
  }

  /// Returns when the broker has answered all.
  /// - Parameter isOurs: whether a record is still this replica's to publish, asked before anything is repeated.
  /// - Returns: what to report, in order; nil when it was stopped before.
  func publish(_ records: [DownlinkRecord], isOurs: @Sendable (DownlinkRecord) -> Bool) async
    -> DownlinkReports?
  {
    let unheard = Set(records.compactMap(\.answerFilter).filter { !answers.hears($0) })
    if !unheard.isEmpty {
      _ = await Bounded.run(loop, .seconds(1)) { [answers] in await answers.want(unheard) }
    }
    var round = Round(records: records)
    var failures = 0
    var backoff = Self.firstBackoff
    while !round.open.isEmpty {
      if let epoch = await announcer.epoch {
        // Only what the library refuses while the broker is there is its last word.
        let isConnected = session.isConnected
        if isConnected { failures += 1 }
        if await attempt(&round, epoch: epoch, mayFail: failures < Self.triesOfFailing || !isConnected) {
          failures = 0
          continue
        }
      }
      if isStopping.load(ordering: .relaxed) { return nil }
      if backoff == Self.firstBackoff {
        logger.warning("the broker has not answered", ["publications": "\(round.open.count)"])
      }
      await session.waitForConnection(atMost: backoff)
      backoff = min(backoff * 2, .seconds(2))
      round.open.removeAll { !isOurs(records[$0]) }
    }
    var reports = DownlinkReports()
    for (record, report) in zip(records, round.reports) {
      guard let report else { continue }
      reports.add(record.event(report.seen(by: replica)), report, on: record)
    }
    return reports
  }

  private struct Round {
    let records: [DownlinkRecord]
    /// The indices of those that have no answer yet.
    var open: [Int]
    var reports: [Uplink?]

    init(records: [DownlinkRecord]) {
      self.records = records
      open = Array(records.indices)
      reports = Array(repeating: nil, count: records.count)
    }
  }

  /// What is written together.
  private struct Wave {
    var sent: [Int] = []
    var publications: [Publication] = []
    /// Commands that stand behind one of their lane.
    var behind: [Int] = []
    private var orders: Set<DownlinkRecord.Order> = []

    /// - Returns: whether another command of that lane is in it.
    mutating func isBehind(_ index: Int, _ order: DownlinkRecord.Order) -> Bool {
      if orders.contains(order) { behind.append(index) }
      return orders.contains(order)
    }

    mutating func add(_ index: Int, _ publication: Publication, commandOf order: DownlinkRecord.Order?) {
      sent.append(index)
      publications.append(publication)
      if let order { orders.insert(order) }
    }
  }

  /// - Returns: whether all that was written has its answer.
  private func attempt(_ round: inout Round, epoch: Int64, mayFail: Bool) async -> Bool {
    let now = Date.now
    let wave = plan(&round, epoch: epoch, now: now)
    let attempts = await timed(wave.publications)
    var failed = [Bool](repeating: false, count: wave.sent.count)
    for (position, attempt) in attempts.enumerated() {
      switch attempt {
      case .answered(let outcome): note(outcome, wave.sent[position], &round, now)
      case .failed where !mayFail: note(.refused, wave.sent[position], &round, now)
      case .unanswered, .failed: failed[position] = true
      }
    }
    let again = Resend.indices(keys: wave.sent.map { round.records[$0].order }, failed: failed)
    round.open = (again.map { wave.sent[$0] } + wave.behind).sorted()
    return again.isEmpty
  }

  private func plan(_ round: inout Round, epoch: Int64, now: Date) -> Wave {
    var wave = Wave()
    for index in round.open {
      let record = round.records[index]
      switch record.plan(now: now) {
      case .report(let report): self.report(report, index, &round)
      case .nothing: break
      case .publish(let publication):
        guard case .command(let command) = record.downlink else {
          wave.add(index, publication, commandOf: nil)
          continue
        }
        if wave.isBehind(index, record.order) { continue }
        if let filter = record.answerFilter, !answers.hears(filter) {
          holds.undelivered(command, of: record.deviceId, now: now)
          report(.undelivered(id: command.id, reason: .deaf), index, &round)
          continue
        }
        if holds.admits(command, of: record.deviceId, epoch: epoch, now: now) {
          wave.add(index, publication, commandOf: record.order)
        } else {
          report(.undelivered(id: command.id, reason: .held), index, &round)
        }
      }
    }
    return wave
  }

  private func report(_ report: Uplink, _ index: Int, _ round: inout Round) {
    metrics.count(report: report)
    round.reports[index] = report
  }

  private func timed(_ publications: [Publication]) async -> [DownlinkSession.Attempt] {
    guard !publications.isEmpty else { return [] }
    let start = ContinuousClock.now
    metrics.unacknowledged.set(Double(publications.count))
    let attempts = await session.publish(publications)
    metrics.unacknowledged.set(0)
    metrics.publishing.record(ContinuousClock.now - start)
    return attempts
  }

  private func note(_ outcome: PublicationOutcome, _ index: Int, _ round: inout Round, _ now: Date) {
    let record = round.records[index]
    metrics.count(record.downlink)
    if case .command(let command) = record.downlink, outcome != .accepted {
      holds.undelivered(command, of: record.deviceId, now: now)
    }
    guard let report = DownlinkPlan.report(record.downlink, outcome) else {
      if outcome == .refused {
        logger.error("refused by the broker", ["type": record.downlink.type, "device": record.deviceId])
      }
      return
    }
    self.report(report, index, &round)
  }
}

/// What became of a batch, in order.
struct DownlinkReports: Sendable {
  private(set) var urgent: [Event] = []
  /// Those that wait for the answers of their devices: they come in the same record batch, before them.
  private(set) var patient: [Event] = []

  /// What a device with a protocol of its own answers comes under another key, and does not find its report.
  mutating func add(_ event: Event, _ report: Uplink, on record: DownlinkRecord) {
    if case .sent = report, record.answerFilter == nil { patient.append(event) } else { urgent.append(event) }
  }
}

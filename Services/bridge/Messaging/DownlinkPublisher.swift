import BridgeDomain
import FoundationEssentials
import Observability
import Synchronization
import Wire

/// Publishes batches to the broker and says what became of them.
///
/// All of a batch is written before the first answer is awaited. Without the broker it waits: commands stay PENDING,
/// and each is dropped once its `deliverBy` has passed.
final class DownlinkPublisher: Sendable {
  private let session: DownlinkSession
  private let metrics: BridgeMetrics
  private let logger: Logger
  private let isStopping = Atomic(false)

  /// What the library cannot write is tried so often before it counts as refused.
  private static let triesOfFailing = 3
  private static let firstBackoff: Duration = .milliseconds(50)

  init(session: DownlinkSession, metrics: BridgeMetrics, logger: Logger) {
    self.session = session
    self.metrics = metrics
    self.logger = logger
  }

  /// Ends waits for the broker: `publish` gives nil from now on where it would wait.
  func stop() {
    isStopping.store(true, ordering: .relaxed)
    session.wake()
  }

  /// Returns when the broker has answered all.
  /// - Parameter isOurs: whether a record is still this replica's to publish, asked before anything is repeated.
  /// - Returns: what to report, in order; nil when it was stopped before.
  func publish(_ records: [DownlinkRecord], isOurs: (DownlinkRecord) -> Bool) async -> [Event]? {
    var round = Round(records: records)
    var tries = 0
    var backoff = Self.firstBackoff
    while true {
      // Only what the library refuses while the broker is there is its last word.
      if session.isConnected { tries += 1 }
      await attempt(&round, mayFail: tries < Self.triesOfFailing || !session.isConnected)
      if round.open.isEmpty { break }
      if isStopping.load(ordering: .relaxed) { return nil }
      if backoff == Self.firstBackoff {
        logger.warning("the broker has not answered", ["publications": "\(round.open.count)"])
      }
      await session.waitForConnection(atMost: backoff)
      backoff = min(backoff * 2, .seconds(2))
      round.open.removeAll { !isOurs(records[$0]) }
    }
    return zip(records, round.reports).compactMap { record, report in report.map { record.event($0) } }
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

  private func attempt(_ round: inout Round, mayFail: Bool) async {
    let now = Date.now
    var sent: [Int] = []
    var publications: [Publication] = []
    sent.reserveCapacity(round.open.count)
    publications.reserveCapacity(round.open.count)
    for index in round.open {
      switch round.records[index].plan(now: now) {
      case .publish(let publication):
        sent.append(index)
        publications.append(publication)
      case .report(let report):
        metrics.count(report: report)
        round.reports[index] = report
      }
    }
    let attempts = await timed(publications)
    var failed = [Bool](repeating: false, count: sent.count)
    for (position, attempt) in attempts.enumerated() {
      switch attempt {
      case .answered(let outcome): note(outcome, sent[position], &round)
      case .failed where !mayFail: note(.refused, sent[position], &round)
      case .unanswered, .failed: failed[position] = true
      }
    }
    guard failed.contains(true) else { return round.open = [] }
    round.open = Resend.indices(keys: sent.map { round.records[$0].deviceId }, failed: failed).map {
      sent[$0]
    }
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

  private func note(_ outcome: PublicationOutcome, _ index: Int, _ round: inout Round) {
    let record = round.records[index]
    metrics.count(record.downlink)
    guard let report = DownlinkPlan.report(record.downlink, outcome) else {
      if outcome == .refused {
        logger.error("refused by the broker", ["type": record.downlink.type, "device": record.deviceId])
      }
      return
    }
    metrics.count(report: report)
    round.reports[index] = report
  }
}

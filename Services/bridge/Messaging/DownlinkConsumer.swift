import BridgeDomain
import FoundationEssentials
import Kafka
import Loop
import Observability
import Runtime
import Synchronization
import Wire

/// Takes what the services have for devices from Kafka, in order for each device, at least once.
///
/// A batch is published while the reports of those before are on their way to Kafka. An offset moves only when
/// everything before it is at the broker and its reports are in Kafka; it is kept by Kafka, because there is no data
/// of ours that it could live with.
final class DownlinkConsumer: Service {
  static let group = "martlet-bridge-downlink"
  /// Of so many records the reports may be on their way: they wait for answers and for the producer's window, and no batch is to
  /// wait for them.
  private static let mostConfirming = 2_000

  private let loop: EventLoop
  private let consumer: KafkaConsumer
  private let session: DownlinkSession
  private let announcer: BrokerAnnouncer
  private let publisher: DownlinkPublisher
  private let producer: ConfirmedProducer
  private let metrics: BridgeMetrics
  private let logger: Logger
  /// Of the batches that are being confirmed so many have come to an end, the first ones.
  private let ended: LoopBound<Int>
  /// Where each partition goes on.
  private let done = Mutex<[KafkaPartition: Int64]>([:])

  init(
    loop: EventLoop, kafka: KafkaConfiguration, replica: String, session: DownlinkSession,
    announcer: BrokerAnnouncer, answers: AnswerFilterTable, producer: ConfirmedProducer,
    metrics: BridgeMetrics, logger: Logger
  ) throws {
    self.loop = loop
    ended = LoopBound(loop, 0)
    consumer = try KafkaConsumer(
      configuration: kafka, loop: loop, group: Self.group, instanceId: "\(Self.group)-\(replica)",
      topics: [Wire.KafkaTopic.deviceDownlink.rawValue],
      headers: [EventHeader.type, EventHeader.traceparent],
      logger: logger, startOffsets: nil)
    (self.session, self.announcer) = (session, announcer)
    self.producer = producer
    self.metrics = metrics
    self.logger = logger.labelled("downlink")
    publisher = DownlinkPublisher(
      loop: loop, replica: replica, session: session, announcer: announcer, answers: answers,
      metrics: metrics, logger: self.logger)
  }

  /// What is not ready, for `/readyz`.
  func notReady() -> String? { consumer.assignment.isEmpty ? "no partition assigned yet" : nil }

  func run() async throws {
    await announcer.whenKnown { [session] in session.wake() }
    session.start()
    // What is in hand is finished, also when the task is cancelled: so it runs in tasks of its own.
    let result = await withTaskCancellationHandler {
      await Result { try await self.consume() }
    } onCancel: {
      publisher.stop()
    }
    await loop.task { await self.close() }.value
    try result.get()
  }

  private func consume() async throws {
    // In order, each after the one before it.
    var confirming: [(task: Task<Void, any Error>, count: Int)] = []
    do {
      while true {
        let messages = try await consumer.nextBatch(maximumCount: 500, wait: .seconds(1))
        let batch = DownlinkBatch(messages)
        var onTheirWay = confirming.reduce(messages.count) { $0 + $1.count }
        while let first = confirming.first, ended.value > 0 || onTheirWay > Self.mostConfirming {
          try await first.task.value
          ended.value -= 1
          onTheirWay -= confirming.removeFirst().count
        }
        guard !messages.isEmpty else { continue }
        let work = loop.task { await self.publish(batch) }
        guard let reports = await work.value else { break }
        let task = loop.task(throwing: { [last = confirming.last?.task] in
          defer { self.ended.value += 1 }
          try await self.confirm(reports, batch, after: last)
        })
        confirming.append((task, messages.count))
      }
    } catch {
      await finish(confirming.last?.task)
      throw error
    }
    await finish(confirming.last?.task)
  }

  /// The last batches' reports, unless Kafka is away.
  private func finish(_ confirming: Task<Void, any Error>?) async {
    guard let confirming else { return }
    _ = await Bounded.run(loop, .seconds(1)) { try? await confirming.value }
  }

  private func publish(_ batch: DownlinkBatch) async -> DownlinkReports? {
    await publisher.publish(batch.records) { [consumer] in consumer.assignment.contains($0.partition) }
  }

  /// - Parameter last: what confirms the batch before.
  private func confirm(
    _ reports: DownlinkReports, _ batch: DownlinkBatch, after last: Task<Void, any Error>?
  ) async throws {
    if !batch.deadLetters.isEmpty {
      metrics.downlinkDeadLetters.increment(by: batch.deadLetters.count)
      logger.error("downlinks set aside on the dead-letter topic", ["count": "\(batch.deadLetters.count)"])
    }
    try await producer.send(reports.urgent + batch.deadLetters, andWithAnswers: reports.patient)
    try await last?.value
    done.withLock { $0.merge(batch.next) { $1 } }
    consumer.commit(batch.next)
  }

  private func close() async {
    // The commits of the last moments may still be on their way: whoever comes next would repeat what is done.
    let next = done.withLock { $0 }
    _ = await Bounded.run(loop, .seconds(1)) { [consumer] in try? await consumer.commitAndWait(next) }
    await session.end()
    await consumer.close(timeout: .seconds(1))
  }
}

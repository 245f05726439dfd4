import Loop
import Observability

/// Reads partitions from offsets that the caller names, outside of any group: every reader gets everything.
///
/// Confined to its loop. It is pulled as `KafkaConsumer` is; brokers that are away are waited for. Offsets that are no longer
/// there are passed over: the next record then has a later offset than the one that is due (or an earlier one, if the
/// topic was made anew), which the caller has to look at. `close` it when it is of no more use.
public final class KafkaReader {
  private let loop: EventLoop
  private let alarm: Wakeup
  private let handle: ReaderHandle
  private var gathering: Gathering

  /// - Parameters:
  ///   - topics: the topics to read.
  ///   - offsets: for each of them the offset to begin with, of each of its partitions; a negative one is not read.
  ///   - gathering: the least time between two batches, in a crowd.
  /// - Throws: `KafkaError` for a setting that librdkafka refuses.
  public init(
    configuration: KafkaConfiguration, loop: EventLoop, topics: [String], from offsets: [[Int64]],
    gathering: Duration = .milliseconds(20), logger: Logger
  ) throws(KafkaError) {
    let alarm = Wakeup(loop)
    (self.loop, self.alarm) = (loop, alarm)
    self.gathering = Gathering(loop, atMost: gathering)
    handle = try ReaderHandle(configuration, loop, topics, from: offsets, logger) { alarm.signal() }
  }

  /// Returns when anything is there, in a crowd when its window is over; or at that time, or when the task is cancelled.
  public func arrival(until time: ContinuousClock.Instant) async {
    if handle.isEmpty { await alarm.wait(until: time) }
    guard !handle.isEmpty else { return }
    await loop.endOfTurn(notBefore: gathering.next)
    gathering.began()
  }

  /// Gives what is there to `body`, in each partition's order, without waiting.
  /// - Parameter maximum: at most so many of each topic.
  /// - Returns: how many.
  @discardableResult
  public func take(_ maximum: Int, _ body: (KafkaRecord) -> Void) -> Int {
    handle.take(maximum, body)
  }

  /// The cluster's id, as soon as it answers; nil after `timeout`.
  public func clusterId(timeout: Duration) async -> String? {
    await handle.clusterId(on: loop, timeout)
  }

  /// Ends it.
  public func close() async { await handle.close(on: loop) }
}

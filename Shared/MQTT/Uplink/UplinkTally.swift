import Synchronization

/// What an uplink has done so far.
public struct MQTTUplinkCounters: Sendable, Equatable {
  /// Messages read from the broker, repeats included.
  public var received = 0
  /// Batches that `handle` has finished.
  public var batches = 0
  /// Times that `handle` threw.
  public var retries = 0
  /// Batches given up because the connection went before they were handled: the broker sends them again.
  public var dropped = 0
}

/// The same, counted on the loop and read from anywhere.
final class UplinkTally: Sendable {
  let received = Atomic(0)
  let batches = Atomic(0)
  let retries = Atomic(0)
  let dropped = Atomic(0)

  var counters: MQTTUplinkCounters {
    MQTTUplinkCounters(
      received: received.load(ordering: .relaxed), batches: batches.load(ordering: .relaxed),
      retries: retries.load(ordering: .relaxed), dropped: dropped.load(ordering: .relaxed))
  }
}

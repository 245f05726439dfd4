import CRdKafka
import Synchronization

/// The delivery reports of one `send`: one object and one allocation for all of its messages. A message's opaque
/// pointer is its slot; the send resumes when the last hold is gone.
///
/// `@unchecked Sendable`: each slot is written by one thread before it gives up that slot's hold, and read after
/// all holds are gone; the counter orders the two. The rest is constant.
final class DeliveryBatch: @unchecked Sendable {
  struct Slot {
    var batch: Unmanaged<DeliveryBatch>
    var offset: Int64
    var partition: Int32
    var error: rd_kafka_resp_err_t
  }

  let messages: [KafkaProducerMessage]
  private let slots: UnsafeMutablePointer<Slot>
  private let holds: Atomic<Int>
  private let finished: @Sendable (DeliveryBatch) -> Void

  /// - Parameter finished: called once, when every message has its report; on any thread.
  init(_ messages: [KafkaProducerMessage], finished: @escaping @Sendable (DeliveryBatch) -> Void) {
    self.messages = messages
    self.finished = finished
    slots = .allocate(capacity: messages.count)
    // One hold more, for the one that hands the messages to librdkafka.
    holds = Atomic(messages.count + 1)
    let none = Slot(
      batch: Unmanaged.passUnretained(self), offset: -1, partition: -1,
      error: RD_KAFKA_RESP_ERR__IN_PROGRESS)
    slots.initialize(repeating: none, count: messages.count)
    holds.store(messages.count + 1, ordering: .releasing)
  }

  deinit { slots.deallocate() }

  /// The opaque pointer of message `index`.
  func opaque(_ index: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(slots + index) }

  /// The message was not taken by librdkafka, so that no report will come.
  func refuse(_ index: Int, _ error: rd_kafka_resp_err_t) {
    slots[index].error = error
    release()
  }

  /// librdkafka's delivery report of one message; the batch is kept alive by the producer until the last one.
  static func report(_ message: rd_kafka_message_t) {
    guard let slot = message._private?.assumingMemoryBound(to: Slot.self) else { return }
    // librdkafka's locks order this after `init` already, but ThreadSanitizer does not see C11's mutexes.
    let batch = slot.pointee.batch.takeUnretainedValue()
    _ = batch.holds.load(ordering: .acquiring)
    slot.pointee.offset = message.offset
    slot.pointee.partition = message.partition
    slot.pointee.error = message.err
    batch.release()
  }

  /// Gives up one hold.
  func release() {
    if holds.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { finished(self) }
  }

  /// What became of each; for use after `finished`, or when no report can come any more.
  func results() -> [KafkaDelivery] {
    messages.indices.map { index in
      let slot = slots[index]
      return switch slot.error {
      case RD_KAFKA_RESP_ERR_NO_ERROR: .delivered(partition: slot.partition, offset: slot.offset)
      // Never sent, or the producer was shut down before a report came.
      case RD_KAFKA_RESP_ERR__IN_PROGRESS: .failed(.closed)
      default: .failed(KafkaError(slot.error))
      }
    }
  }
}

import CRdKafka

/// The delivery reports of one `send`: one object for all of its messages. A message's opaque pointer is its slot; the
/// send resumes when the last has its report. Confined to the loop.
final class DeliveryBatch {
  struct Slot {
    let batch: Unmanaged<DeliveryBatch>
    var offset: Int64 = -1
    var partition: Int32 = -1
    var error = RD_KAFKA_RESP_ERR__IN_PROGRESS
    /// The lane that it is in.
    var lane = 0
  }

  let messages: [KafkaProducerMessage]
  /// Slots without a report.
  private(set) var open: Int
  let waiter: UnsafeContinuation<[KafkaDelivery], Never>
  let slots: UnsafeMutablePointer<Slot>

  init(_ messages: [KafkaProducerMessage], _ waiter: UnsafeContinuation<[KafkaDelivery], Never>) {
    (self.messages, self.waiter) = (messages, waiter)
    open = messages.count
    slots = .allocate(capacity: messages.count)
    slots.initialize(repeating: Slot(batch: .passUnretained(self)), count: messages.count)
  }

  deinit { slots.deallocate() }

  /// - Returns: whether it was the last.
  func report(
    _ slot: UnsafeMutablePointer<Slot>, _ error: rd_kafka_resp_err_t, partition: Int32 = -1,
    offset: Int64 = -1
  ) -> Bool {
    (slot.pointee.error, slot.pointee.partition, slot.pointee.offset) = (error, partition, offset)
    open -= 1
    return open == 0
  }

  /// Tells the sender what became of each.
  func finish() {
    waiter.resume(
      returning: messages.indices.map { index in
        let slot = slots[index]
        return switch slot.error {
        case RD_KAFKA_RESP_ERR_NO_ERROR: .delivered(partition: slot.partition, offset: slot.offset)
        // Never sent, or the producer was shut down before a report came.
        case RD_KAFKA_RESP_ERR__IN_PROGRESS: .failed(.closed)
        default: .failed(KafkaError(slot.error))
        }
      })
  }
}

import CRdKafka
import Loop
import Threads

/// One of librdkafka's queues as a source of a loop. Confined to the loop.
///
/// The library writes to the bell when something comes into the empty queue, and then only. So the bell is never
/// silenced but watched for changes, and whoever leaves something in the queue has to come back by himself.
final class EventQueue {
  private(set) var pointer: OpaquePointer?
  private let bell = Bell()
  private let loop: EventLoop
  private var source: LoopSource?

  /// - Parameter pointer: is its own until `close`.
  init(_ pointer: OpaquePointer, _ loop: EventLoop) {
    (self.pointer, self.loop) = (pointer, loop)
  }

  /// Calls `handler` when something has come, and once in any case: for what came before.
  func watch(_ handler: @escaping () -> Void) {
    var one: UInt64 = 1
    rd_kafka_queue_io_event_enable(pointer, bell.descriptor, &one, MemoryLayout.size(ofValue: one))
    bell.ring()
    source = loop.watch(bell.descriptor, [.reading, .onChange]) { _ in handler() }
  }

  /// Whether nothing is there.
  var isEmpty: Bool { pointer.map { rd_kafka_queue_length($0) == 0 } ?? true }

  /// Calls the handler in the next turn, whatever comes.
  func callAgain() { source.map(loop.callAgain) }

  /// No handler is called from here on; the library's end of it is cut, so that the descriptor can be closed.
  func close() {
    source.take().map(loop.cancel)
    guard let pointer = pointer.take() else { return }
    rd_kafka_queue_io_event_enable(pointer, -1, nil, 0)
    rd_kafka_queue_destroy(pointer)
  }

  /// Calls `body` with the events that are there, each to be used within the call only, until it has said that it did
  /// `budget` pieces of work; then the handler of `watch` is called again in the next turn.
  func serve(budget: Int, _ body: (OpaquePointer) -> Int) {
    var left = budget
    while left > 0 {
      guard let pointer, let event = rd_kafka_queue_poll(pointer, 0) else { return }
      left -= body(event)
      rd_kafka_event_destroy(event)
    }
    callAgain()
  }
}

import Loop
import Runtime
import Synchronization

/// Everything that a fleet does later, in one queue with one task: a timer for each of thousands of answers would
/// cost more than the answers.
final class TimerQueue: Sendable {
  private struct Entry {
    let due: ContinuousClock.Instant
    let number: Int
    let body: @Sendable () -> Void
  }
  private struct State {
    /// A binary heap, the first due on top.
    var heap: [Entry] = []
    var number = 0
  }
  private let state = Mutex(State())
  private let sooner: Wakeup

  init(_ loop: EventLoop) { sooner = Wakeup(loop) }

  /// Runs `body` after `delay`, on the queue's task: copy and leave.
  func after(_ delay: Duration, _ body: @escaping @Sendable () -> Void) {
    let isFirst = state.withLock { state in
      state.number += 1
      Self.push(Entry(due: .now + delay, number: state.number, body: body), on: &state.heap)
      return state.heap[0].number == state.number
    }
    if isFirst { sooner.signal() }
  }

  /// Runs until cancelled; what is not due by then is dropped.
  func run() async {
    while !Task.isCancelled {
      let (due, next) = state.withLock { state in
        let now = ContinuousClock.now
        var due: [Entry] = []
        while let first = state.heap.first, first.due <= now { due.append(Self.pop(&state.heap)) }
        return (due, state.heap.first?.due)
      }
      for entry in due { entry.body() }
      let wait = next.map { $0 - .now } ?? .seconds(60)
      if wait > .zero { await sooner.wait(atMost: wait) }
    }
  }

  private static func isBefore(_ a: Entry, _ b: Entry) -> Bool { (a.due, a.number) < (b.due, b.number) }

  private static func push(_ entry: Entry, on heap: inout [Entry]) {
    heap.append(entry)
    var index = heap.count - 1
    while index > 0, isBefore(heap[index], heap[(index - 1) / 2]) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  private static func pop(_ heap: inout [Entry]) -> Entry {
    let top = heap[0]
    let last = heap.removeLast()
    if heap.isEmpty { return top }
    heap[0] = last
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
        if isBefore(heap[child], heap[least]) { least = child }
      }
      if least == index { return top }
      heap.swapAt(index, least)
      index = least
    }
  }
}

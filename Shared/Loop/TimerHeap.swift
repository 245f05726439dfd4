/// Timers by their time; those of one time in the order in which they were added. A plain value.
struct TimerHeap {
  private struct Entry {
    let at: ContinuousClock.Instant
    let number: UInt64
    func isBefore(_ other: Entry) -> Bool { at == other.at ? number < other.number : at < other.at }
  }

  private var heap: [Entry] = []
  private var bodies: [UInt64: () -> Void] = [:]
  private var last: UInt64 = 0

  var count: Int { bodies.count }

  mutating func add(_ at: ContinuousClock.Instant, _ body: @escaping () -> Void) -> UInt64 {
    last += 1
    bodies[last] = body
    push(Entry(at: at, number: last))
    return last
  }

  /// Its entry stays in the heap until its time, or until most entries are of that kind.
  mutating func cancel(_ number: UInt64) {
    guard bodies.removeValue(forKey: number) != nil, heap.count > 2 * bodies.count + 64 else { return }
    let entries = heap.filter { bodies[$0.number] != nil }
    heap.removeAll(keepingCapacity: true)
    for entry in entries { push(entry) }
  }

  /// When the next one is due.
  mutating func next() -> ContinuousClock.Instant? {
    while let first = heap.first, bodies[first.number] == nil { pop() }
    return heap.first?.at
  }

  /// Takes the next one that is due.
  mutating func due(at now: ContinuousClock.Instant) -> (() -> Void)? {
    guard let next = next(), next <= now, let first = heap.first else { return nil }
    pop()
    return bodies.removeValue(forKey: first.number)
  }

  private mutating func push(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].isBefore(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func pop() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].isBefore(heap[least]) {
        least = child
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

/// Deadlines in order, a binary heap: setting one costs log n, and a loop with a thousand sessions looks only at
/// those that are due.
struct TimerHeap {
  /// A deadline (monotonic nanoseconds) and whose it is.
  struct Entry {
    let deadline: UInt64
    let token: UInt64
  }

  private var entries: [Entry] = []

  /// The earliest one.
  var first: Entry? { entries.first }
  /// How many there are.
  var count: Int { entries.count }

  mutating func push(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].deadline < entries[parent].deadline else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes the earliest one away.
  mutating func pop() -> Entry? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    if entries.isEmpty { return first }
    entries[0] = last
    var parent = 0
    while true {
      let left = 2 * parent + 1
      guard left < entries.count else { return first }
      let right = left + 1
      let least = right < entries.count && entries[right].deadline < entries[left].deadline ? right : left
      guard entries[least].deadline < entries[parent].deadline else { return first }
      entries.swapAt(least, parent)
      parent = least
    }
  }
}

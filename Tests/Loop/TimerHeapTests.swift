import Testing

@testable import Loop

@Suite struct TimerHeapTests {
  @Test func theyComeInTheirOrderAndCancelledOnesNever() {
    var heap = TimerHeap()
    var fired: [Int] = []
    let start = ContinuousClock.now
    var numbers: [UInt64] = []
    for index in 0..<500 {
      let place = (index * 7919) % 500
      numbers.append(heap.add(start + .milliseconds(place / 2)) { fired.append(place) })
    }
    for index in stride(from: 0, to: 500, by: 3) { heap.cancel(numbers[index]) }
    #expect(heap.next() != nil)
    while let body = heap.due(at: start + .milliseconds(100)) { body() }
    #expect(fired.map { $0 / 2 } == fired.map { $0 / 2 }.sorted())
    #expect(fired.allSatisfy { $0 / 2 <= 100 })
    while let body = heap.due(at: start + .seconds(1)) { body() }
    #expect(fired.count == heapLeft(500) && Set(fired).count == fired.count && heap.count == 0)
  }

  private func heapLeft(_ count: Int) -> Int { count - (count + 2) / 3 }

  @Test func manyThatAreCancelledLeaveNothingBehind() {
    var heap = TimerHeap()
    for _ in 0..<100_000 { heap.cancel(heap.add(.now + .seconds(30)) {}) }
    #expect(heap.count == 0 && heap.next() == nil)
  }
}

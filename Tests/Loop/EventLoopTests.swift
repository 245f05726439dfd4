import Glibc
import Synchronization
import Testing
import Threads

@testable import Loop

@Suite struct EventLoopTests {
  actor Home {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private(set) var calls = 0
    init(_ loop: EventLoop) { self.loop = loop }
    func call() -> Bool {
      calls += 1
      return loop.isCurrent
    }
  }

  @Test func whatStartsOnItStaysOnIt() throws {
    let loop = EventLoop()
    let home = Home(loop)
    let places = try loop.run {
      var places = [loop.isCurrent, await home.call()]
      try await loop.sleep(for: .milliseconds(2))
      places.append(loop.isCurrent)
      async let child = loop.isCurrent
      places.append(await child)
      places.append(await loop.blocking { loop.isCurrent } == false)
      places.append(loop.isCurrent)
      await loop.endOfTurn()
      places.append(await loop.task { loop.isCurrent }.value)
      return places
    }
    #expect(places.allSatisfy { $0 })
  }

  /// Calls that wait for nothing are no jobs: nobody else has a turn between them.
  @Test func aFunctionThatDoesNotWaitGoesOnAtOnce() throws {
    @Sendable func step(_ log: Locked<[Int]>, _ number: Int) async { log.withLock { $0.append(number) } }
    @Sendable func steps(_ log: Locked<[Int]>, _ number: Int) async {
      for _ in 0..<3 { await step(log, number) }
    }
    let loop = EventLoop()
    let log = Locked<[Int]>([])
    try loop.run {
      let tasks = (0..<3).map { number in loop.task { await steps(log, number) } }
      for task in tasks { await task.value }
    }
    #expect(log.withLock { $0 } == [0, 0, 0, 1, 1, 1, 2, 2, 2])
  }

  @Test func anErrorOfTheBodyIsThrown() {
    struct Fault: Error {}
    #expect(throws: Fault.self) { try EventLoop().run { throw Fault() } }
  }

  @Test func otherThreadsReachItWhileItSleeps() async {
    let loop = EventLoop.start("test")
    defer { loop.shutdown() }
    let home = Home(loop)
    for _ in 0..<1000 { #expect(await home.call()) }
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { for _ in 0..<500 { _ = await home.call() } } }
    }
    #expect(await home.calls == 5000)
  }

  /// A call from outside that leaves no job behind must not let the loop sleep with its bell off.
  @Test func callsAndJobsFromOutsideNeverMissIt() async {
    let loop = EventLoop.start("test")
    defer { loop.shutdown() }
    let home = Home(loop)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { for _ in 0..<20_000 { loop.execute {} } }
      for _ in 0..<2 { group.addTask { for _ in 0..<5_000 { _ = await home.call() } } }
    }
    #expect(await home.calls == 10_000)
  }

  @Test func aPipeIsReadAsLongAsItIsWatched() async {
    let loop = EventLoop.start("test")
    defer { loop.shutdown() }
    var ends: [Int32] = [0, 0]
    pipe(&ends)
    let (reader, writer) = (ends[0], ends[1])
    defer {
      close(reader)
      close(writer)
    }
    let got = Wakeup(loop)
    let count = Atomic(0)
    let source = Locked<LoopSource?>(nil)
    loop.execute {
      let new = loop.watch(reader, .reading) { _ in
        var byte: UInt8 = 0
        count.wrappingAdd(read(reader, &byte, 1), ordering: .relaxed)
        got.signal()
      }
      source.withLock { $0 = new }
    }
    for expected in 1...3 {
      write(writer, "x", 1)
      await got.wait(atMost: .seconds(10))
      #expect(count.load(ordering: .relaxed) == expected)
    }
    await loop.task { source.withLock { $0 }.map(loop.cancel) }.value
    write(writer, "x", 1)
    try? await loop.sleep(for: .milliseconds(20))
    #expect(count.load(ordering: .relaxed) == 3)
  }

  @Test func aSourceThatAsksForMoreIsCalledInTheNextTurn() async {
    let loop = EventLoop.start("test")
    defer { loop.shutdown() }
    let bell = Bell()
    let done = Wakeup(loop)
    let calls = Atomic(0)
    loop.execute {
      let source = Locked<LoopSource?>(nil)
      let new = loop.watch(bell.descriptor, [.reading, .onChange]) { _ in
        guard calls.wrappingAdd(1, ordering: .relaxed).newValue < 5 else { return done.signal() }
        source.withLock { $0 }.map(loop.callAgain)
      }
      source.withLock { $0 = new }
    }
    bell.ring()
    await done.wait(atMost: .seconds(10))
    #expect(calls.load(ordering: .relaxed) == 5)
  }

  @Test func aCancelledSleepEndsAtOnce() async {
    let loop = EventLoop.start("test")
    defer { loop.shutdown() }
    let task = loop.task(throwing: { try await loop.sleep(for: .seconds(600)) })
    try? await loop.sleep(for: .milliseconds(5))
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }

  @Test func aWaitOnAnotherThreadEndsAtItsTime() async {
    let loop = EventLoop.start("test")
    defer { loop.shutdown() }
    let wakeUp = Wakeup(loop)
    for _ in 0..<5_000 { await wakeUp.wait(until: .now) }
  }

  @Test func theEndOfATurnComesAfterAllItsJobs() throws {
    let loop = EventLoop()
    let order = Locked<[Int]>([])
    try loop.run {
      let first = loop.task {
        await loop.endOfTurn()
        order.withLock { $0.append(3) }
      }
      let second = loop.task {
        order.withLock { $0.append(1) }
        await loop.task { order.withLock { $0.append(2) } }.value
      }
      await first.value
      await second.value
    }
    #expect(order.withLock { $0 } == [1, 2, 3])
  }

  @Test func inACrowdBatchesWaitForTheirWindow() throws {
    let loop = EventLoop()
    let gaps = try loop.run {
      var gathering = Gathering(loop, atMost: .milliseconds(20))
      let start = ContinuousClock.now
      for _ in 0..<5 { await gathering.wait() }
      let quiet = ContinuousClock.now - start
      loop.arrived(100_000)
      try await loop.sleep(for: .milliseconds(60))
      loop.arrived(100_000)
      let crowded = ContinuousClock.now
      for _ in 0..<3 { await gathering.wait() }
      return (quiet, ContinuousClock.now - crowded)
    }
    #expect(gaps.0 < .milliseconds(20))
    #expect(gaps.1 >= .milliseconds(20))
  }

  @Test func windowsOfOneLengthEndTogether() throws {
    let loop = EventLoop()
    let (together, tick) = try loop.run {
      var first = Gathering(loop, atMost: .milliseconds(20))
      var second = Gathering(loop, atMost: .milliseconds(20))
      var together = false
      // A window may end between the two, and how crowded it is is found out at the end of a period.
      for _ in 0..<200 where !together {
        loop.arrived(100_000)
        first.began()
        let before = loop.now
        try await loop.sleep(for: .milliseconds(1))
        second.began()
        together = loop.load.crowd == 1 && before != loop.now && first.next == second.next
      }
      return (together, loop.tick(each: .milliseconds(300)))
    }
    #expect(together)
    #expect(loop.tick(after: tick - .milliseconds(1), each: .milliseconds(150)) == tick)
    #expect(loop.tick(after: tick, each: .milliseconds(300)) == tick + .milliseconds(300))
  }

  @Test func whatFlushesOnceRunsAfterAllJobsAndNotAgain() throws {
    let loop = EventLoop()
    let order = Locked<[Int]>([])
    try loop.run {
      loop.execute {
        loop.flushOnce {
          order.withLock { $0.append(2) }
          loop.flushOnce { order.withLock { $0.append(3) } }
        }
      }
      await loop.task { order.withLock { $0.append(1) } }.value
      for _ in 0..<3 { try await loop.sleep(for: .milliseconds(1)) }
    }
    #expect(order.withLock { $0 } == [1, 2, 3])
  }

  @Test func whoWaitsForALoopThatEndsIsTold() async {
    let loop = EventLoop.start("test")
    let told = Locked<[String]>([])
    let bothAreThere = Wakeup(EventLoop())
    loop.execute {
      _ = loop.whenOver { told.withLock { $0.append("over") } }
      loop.cancel(loop.whenOver { told.withLock { $0.append("cancelled") } })
      bothAreThere.signal()
    }
    await bothAreThere.wait()
    loop.shutdown()
    // What is left before the end is still called, what comes later is refused.
    while loop.execute({ told.withLock { $0.append("called") } }) { usleep(1_000) }
    #expect(told.withLock { $0 }.first { $0 != "called" } == "over")
    #expect(told.withLock { $0 }.count { $0 == "over" } == 1)
    #expect(told.withLock { $0 }.contains("cancelled") == false)
  }

  @Test func whatTheNextStepWaitsForIsFlushedFirst() throws {
    let loop = EventLoop()
    let order = Locked<[Int]>([])
    try loop.run {
      for (place, number) in [(FlushPlace.late, 3), (.early, 1), (.late, 4), (.early, 2)] {
        loop.flush(place) { order.withLock { $0.append(number) } }
      }
      await loop.endOfTurn()
      try await loop.sleep(for: .milliseconds(1))
    }
    #expect(order.withLock { Array($0.prefix(4)) } == [1, 2, 3, 4])
  }
}

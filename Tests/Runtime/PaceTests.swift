import Testing

@testable import Runtime

@Suite struct PaceTests {
  private let start = ContinuousClock.now

  @Test func theFirstGoesAtOnce() { #expect(Pace().pause(at: start) == .zero) }

  @Test func aLoneOneLongAfterTheLastGoesAtOnce() {
    var pace = Pace()
    pace.began(1, at: start)
    #expect(pace.pause(at: start + .milliseconds(1)) == .milliseconds(3))
    #expect(pace.pause(at: start + .milliseconds(4)) == .zero)
    #expect(pace.pause(at: start + .seconds(1)) == .zero)
  }

  @Test(arguments: [(1, 4), (32, 4), (80, 10), (160, 20), (10_000, 20)])
  func largeBatchesGatherLonger(_ count: Int, _ milliseconds: Int) {
    var pace = Pace()
    pace.began(count, at: start)
    #expect(pace.pause(at: start) == .milliseconds(milliseconds))
  }

  @Test func aBatcherMakesOneBatchOfWhatComesTogether() async throws {
    let sizes = Sizes()
    let batcher = Batcher<Int, Int>(.start("batcher-test"), maximum: 100) { inputs in
      await sizes.add(inputs.count)
      return inputs.map { $0 * 2 }
    }
    #expect(try await batcher.submit(21) == 42)
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<50 { group.addTask { try await batcher.submit(number) } }
      return try await group.reduce(0, +)
    }
    #expect(sum == 50 * 49)
    #expect(await sizes.all.count <= 4, "the second batch waits for its time, and all come meanwhile")
    #expect(await sizes.all.reduce(0, +) == 51)
  }

  private actor Sizes {
    var all: [Int] = []
    func add(_ size: Int) { all.append(size) }
  }
}

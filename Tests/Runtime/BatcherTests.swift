import Testing

@testable import Runtime

@Suite struct BatcherTests {
  @Test func aBatcherMakesOneBatchOfWhatComesTogether() async throws {
    let sizes = Sizes()
    let batcher = Batcher<Int, Int>(.start("batcher-test"), maximum: 100) { inputs in
      await sizes.add(inputs.count)
      for _ in 0..<20 { await Task.yield() }
      return inputs.map { $0 * 2 }
    }
    #expect(try await batcher.submit(21) == 42)
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<50 { group.addTask { try await batcher.submit(number) } }
      return try await group.reduce(0, +)
    }
    #expect(sum == 50 * 49)
    #expect(await sizes.all.count < 51, "what comes while a batch is under way makes one")
    #expect(await sizes.all.reduce(0, +) == 51)
  }

  private actor Sizes {
    var all: [Int] = []
    func add(_ size: Int) { all.append(size) }
  }
}

import TestSupport
import Testing

@testable import Postgres
@testable import Runtime

@Suite struct BatcherTests {
  @Test("what comes while a batch is under way makes one")
  func aBatcherMakesOneBatchOfWhatComesTogether() async throws {
    let sizes = Sizes()
    let gate = Gate()
    let batcher = Batcher<Int, Int>(.start("batcher-test"), maximum: 100) { inputs in
      await sizes.add(inputs.count)
      await gate.pass()
      return inputs.map { $0 * 2 }
    }
    async let first = batcher.submit(21)
    try await eventually("the first is under way") { await sizes.all == [1] }
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<50 { group.addTask { try await batcher.submit(number) } }
      try await eventually("the others wait") { await batcher.queued == 50 }
      await gate.open()
      return try await group.reduce(0, +)
    }
    #expect(try await first == 42)
    #expect(sum == 50 * 49)
    #expect(await sizes.all == [1, 50])
  }

  @Test("a batch weighs no more than it may, unless one input alone does")
  func aBatchHasABoundByWeight() async throws {
    let batches = Batches()
    let gate = Gate()
    let batcher = Batcher<Int, Int>(
      .start("batcher-test"), maximum: 100, weight: { $0 }, maximumWeight: 100
    ) { inputs in
      await batches.add(inputs)
      await gate.pass()
      return inputs
    }
    let weights = Array(repeating: 30, count: 20) + [250, 100, 1]
    try await withThrowingTaskGroup(of: Int.self) { group in
      for weight in weights { group.addTask { try await batcher.submit(weight) } }
      try await eventually("all are there") {
        await batcher.queued + batches.all.joined().count == weights.count
      }
      await gate.open()
      for try await _ in group {}
    }
    let all = await batches.all
    #expect(all.allSatisfy { $0.count == 1 || $0.reduce(0, +) <= 100 })
    #expect(all.contains { $0.count > 1 })
    #expect(all.joined().sorted() == weights.sorted())
  }

  @Test("what the database refuses goes to the one input that it refuses, and each other is done once")
  func aBadInputFailsAlone() async throws {
    let done = Sizes()
    let refused = Sizes()
    let started = Sizes()
    let gate = Gate()
    let batcher = Batcher<Int, Int>(.start("batcher-test"), maximum: 100) { inputs in
      await started.add(inputs.count)
      await gate.pass()
      if inputs.contains(where: { $0 % 10 == 7 }) {
        await refused.add(inputs.count)
        throw PostgresError(.server(sqlState: "23514"), "check_violation", code: "23514")
      }
      for input in inputs { await done.add(input) }
      return inputs
    }
    let failed = try await withThrowingTaskGroup(of: Int?.self) { group in
      for number in 0..<50 {
        group.addTask {
          do { _ = try await batcher.submit(number) } catch { return number }; return nil
        }
      }
      try await eventually("all are there") { await batcher.queued + started.all.reduce(0, +) == 50 }
      await gate.open()
      return try await group.reduce(into: Set<Int>()) { if let number = $1 { $0.insert(number) } }
    }
    #expect(failed == [7, 17, 27, 37, 47])
    #expect(await refused.all.contains { $0 > 1 }, "they came with others")
    #expect(await done.all.sorted() == (0..<50).filter { $0 % 10 != 7 })
  }

  @Test("what may have been done is not done twice")
  func troubleIsForAll() async throws {
    let tries = Sizes()
    let batcher = Batcher<Int, Int>(.start("batcher-test"), maximum: 100) { inputs in
      await tries.add(inputs.count)
      throw PostgresError(.connection, "lost")
    }
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<50 { group.addTask { _ = try? await batcher.submit(number) } }
    }
    #expect(await tries.all.reduce(0, +) == 50)
  }

  private actor Sizes {
    var all: [Int] = []
    func add(_ size: Int) { all.append(size) }
  }
}

private actor Batches {
  var all: [[Int]] = []
  func add(_ batch: [Int]) { all.append(batch) }
}

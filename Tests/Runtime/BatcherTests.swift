import Testing

@testable import Postgres
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

  @Test("a batch weighs no more than it may, unless one input alone does")
  func aBatchHasABoundByWeight() async throws {
    let batches = Batches()
    let batcher = Batcher<Int, Int>(
      .start("batcher-test"), maximum: 100, weight: { $0 }, maximumWeight: 100
    ) { inputs in
      await batches.add(inputs)
      try await Task.sleep(for: .milliseconds(20))
      return inputs
    }
    try await withThrowingTaskGroup(of: Int.self) { group in
      for weight in Array(repeating: 30, count: 20) + [250, 100, 1] {
        group.addTask { try await batcher.submit(weight) }
      }
      for try await _ in group {}
    }
    let all = await batches.all
    #expect(all.allSatisfy { $0.count == 1 || $0.reduce(0, +) <= 100 })
    #expect(all.contains { $0.count > 1 })
    #expect(all.joined().sorted() == (Array(repeating: 30, count: 20) + [250, 100, 1]).sorted())
  }

  @Test("what the database refuses goes to the one input that it refuses, and each other is done once")
  func aBadInputFailsAlone() async throws {
    let done = Sizes()
    let refused = Sizes()
    let batcher = Batcher<Int, Int>(.start("batcher-test"), maximum: 100) { inputs in
      // Long enough for others to come together meanwhile, however busy the machine is.
      try await Task.sleep(for: .milliseconds(20))
      if inputs.contains(where: { $0 % 10 == 7 }) {
        await refused.add(inputs.count)
        throw PostgresError(.server(sqlState: "23514"), "check_violation", code: "23514")
      }
      for input in inputs { await done.add(input) }
      return inputs
    }
    let failed = await withTaskGroup(of: Int?.self) { group in
      for number in 0..<50 {
        group.addTask {
          do { _ = try await batcher.submit(number) } catch { return number }; return nil
        }
      }
      return await group.reduce(into: Set<Int>()) { if let number = $1 { $0.insert(number) } }
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

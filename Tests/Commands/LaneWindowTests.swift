import CommandsDomain
import Foundation
import Testing
import Wire

@Suite("How the window is shared out among lanes") struct LaneWindowTests {
  private typealias Waiting = LaneWindow.Waiting

  private func waiting(_ seqs: [Int64], exclusive: Set<Int64> = [], held: Set<Int64> = []) -> [Waiting] {
    seqs.map { seq in
      Waiting(
        id: Self.id(seq), seq: seq, isExclusive: exclusive.contains(seq), awaitsDevice: held.contains(seq))
    }
  }

  private static func id(_ seq: Int64) -> UUID {
    let text = String(seq, radix: 16)
    let digits = String(repeating: "0", count: 12 - text.count) + text
    return UUID(uuidString: "00000000-0000-7000-8000-\(digits)") ?? .v7()
  }

  private func turns(_ lanes: [LaneWindow.Lane], listens: Bool = true) -> [Int64] {
    LaneWindow.turns(of: lanes, listens: listens).map { Int64($0.uuidString.suffix(12), radix: 16) ?? -1 }
  }

  @Test("a lane alone leaves places for others, which overtake it")
  func alone() {
    let long = LaneWindow.Lane(waiting: waiting(Array(1...1000)))
    #expect(turns([long]) == Array(1...12))
    #expect(turns([long, .init(waiting: waiting([2000]))]) == Array(1...11) + [2000])
    // All that it may have is there and never answered: others come through all the same, one each.
    let full = LaneWindow.Lane(taken: 12, waiting: waiting(Array(1...1000)))
    let others = (0..<6).map { LaneWindow.Lane(waiting: waiting([2000 + $0, 3000 + $0])) }
    #expect(turns([full] + others) == [2000, 2001, 2002, 2003])
  }

  @Test("an exclusive one holds what is behind it in its lane, and nothing before it")
  func exclusive() {
    #expect(turns([.init(waiting: waiting([1, 2, 3, 4], exclusive: [2]))]) == [1, 2])
    #expect(turns([.init(exclusive: 5, waiting: waiting([6, 7]))]) == [])
    // The broker was lost: what is older than the exclusive one that the device has goes again.
    #expect(turns([.init(exclusive: 5, waiting: waiting([3, 4, 6]))]) == [3, 4])
    #expect(turns([.init(exclusive: 5, waiting: waiting([6])), .init(waiting: waiting([7]))]) == [7])
  }

  @Test("one that awaits its device holds its lane alone")
  func held() {
    let lanes = [
      LaneWindow.Lane(waiting: waiting([1, 2, 3], held: [2])), .init(waiting: waiting([4], held: [4])),
      .init(waiting: waiting([5])),
    ]
    #expect(turns(lanes) == [1, 5])
    #expect(turns(lanes, listens: false) == [1])
    #expect(turns([lanes[1], lanes[2]], listens: false) == [5])
  }

  /// Lanes of any kind, from a number.
  private func lanes(_ random: inout some RandomNumberGenerator) -> [LaneWindow.Lane] {
    var seq: Int64 = 1
    var taken = 0
    return (0..<Int.random(in: 1...24, using: &random)).map { _ in
      var lane = LaneWindow.Lane()
      for _ in 0..<Int.random(in: 0...13, using: &random)
      where LaneWindow.hasRoom(lane: lane.taken, of: taken) && Bool.random(using: &random) {
        lane.taken += 1
        taken += 1
      }
      if Int.random(in: 0..<5, using: &random) == 0 { lane.exclusive = seq }
      let count = Int.random(in: 0...20, using: &random)
      lane.waiting = (0..<count).map { _ in
        seq += Int64.random(in: 1...3, using: &random)
        return Waiting(
          id: Self.id(seq), seq: seq, isExclusive: Int.random(in: 0..<8, using: &random) == 0,
          awaitsDevice: Int.random(in: 0..<12, using: &random) == 0)
      }
      return lane
    }
  }

  @Test("whatever the lanes: never more than the window, none before its elder, none starves")
  func properties() {
    var random = Numbers(seed: 13)
    for _ in 0..<20_000 {
      let lanes = lanes(&random)
      let gone = turns(lanes)
      let taken = lanes.reduce(0) { $0 + $1.taken }
      #expect(taken + gone.count <= LaneWindow.size)
      #expect(gone == gone.sorted() && Set(gone).count == gone.count)
      let isFull = taken + gone.count == LaneWindow.size
      for lane in lanes {
        let mine = lane.waiting.filter { gone.contains($0.seq) }
        #expect(mine == Array(lane.waiting.prefix(mine.count)), "in order, without a gap")
        #expect(mine.allSatisfy { !$0.awaitsDevice })
        #expect(mine.dropLast().allSatisfy { !$0.isExclusive })
        #expect(lane.exclusive.map { exclusive in mine.allSatisfy { $0.seq <= exclusive } } ?? true)
        // A lane that has none and could go went, unless all places are taken.
        let ready = lane.waiting.first.map { first in
          !first.awaitsDevice && (lane.exclusive.map { first.seq <= $0 } ?? true)
        }
        #expect(ready != true || lane.taken > 0 || !mine.isEmpty || isFull)
      }
      #expect(turns(lanes, listens: false).count <= 1)
    }
  }

  @Test("lanes come to equal shares as places become free")
  func fair() {
    var taken = [12, 1]
    for _ in 0..<40 {
      // The oldest of the longest lane is answered.
      taken[taken[0] >= taken[1] ? 0 : 1] -= 1
      let lanes = taken.enumerated().map { index, taken in
        LaneWindow.Lane(
          taken: taken, waiting: waiting(Array(Int64(index * 1000 + 1)...Int64(index * 1000 + 16))))
      }
      for seq in turns(lanes) { taken[Int(seq / 1000)] += 1 }
    }
    #expect(taken == [6, 6])
  }
}

/// The same numbers each time (SplitMix64).
struct Numbers: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

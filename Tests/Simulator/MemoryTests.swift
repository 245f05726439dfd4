import Foundation
import Testing
import Wire

@testable import Simulator

@Suite struct CommandMemoryTests {
  func id(_ number: Int) -> CommandId {
    CommandId(high: 0, low: UInt64(number))
  }

  @Test func itForgetsTheOldest() {
    var memory = CommandMemory()
    for number in 0..<(CommandMemory.capacity + 10) { memory.set(id(number), .working) }
    memory.set(id(CommandMemory.capacity), .done(failed: false, took: 3))
    #expect(memory.count == CommandMemory.capacity)
    #expect(memory[id(9)] == nil)
    #expect(memory[id(10)] == .working)
    #expect(memory[id(CommandMemory.capacity)] == .done(failed: false, took: 3))
  }

  /// Every behaviour with everything that a device can remember of a command.
  @Test func everyReaction() {
    let done = CommandMemory.State.done(failed: true, took: 5)
    for behaviour in Behaviour.allCases {
      let repeated = CommandReaction(behaviour, known: done)
      #expect(
        repeated.isRepeat && repeated.deed == .nothing && !repeated.acknowledges && repeated.final == done)
      let working = CommandReaction(behaviour, known: .working)
      #expect(working.isRepeat && working.deed == .nothing && working.acknowledges && working.final == nil)
      let ignored = CommandReaction(behaviour, known: .ignored)
      #expect(ignored.isRepeat && !ignored.acknowledges && ignored.final == nil)
      #expect(ignored.deed == (behaviour == .garbage ? .sendGarbage : .nothing))
      let new = CommandReaction(behaviour, known: nil)
      #expect(!new.isRepeat && new.final == nil)
      switch behaviour {
      case .obey, .late, .twice, .fail: #expect(new.deed == .execute && new.acknowledges)
      case .offline: #expect(new.deed == .executeAndVanish && !new.acknowledges)
      case .never: #expect(new.deed == .nothing && !new.acknowledges)
      case .garbage: #expect(new.deed == .sendGarbage && !new.acknowledges)
      }
    }
  }
}

@Suite struct CommandHeadTests {
  @Test(arguments: [
    #"{"id":"0198C000-0000-7000-8000-0000000000ff","type":"REBOOT","params":{}}"#,
    #"{"type":"REBOOT","id":"0198C000-0000-7000-8000-0000000000ff"}"#,
    #"{ "id" : "0198C000-0000-7000-8000-0000000000ff", "type":"REBOOT" }"#,
  ])
  func anyOrder(_ text: String) throws {
    let head = try #require(ReceivedCommand(Array(text.utf8)))
    #expect(head.id.high == 0x0198_C000_0000_7000 && head.id.low == 0x8000_0000_0000_00FF)
    #expect(String(decoding: head.type, as: UTF8.self) == "REBOOT")
    #expect(String(decoding: head.idText, as: UTF8.self) == "0198C000-0000-7000-8000-0000000000ff")
  }

  @Test func aTypeWithQuotesStaysOne() throws {
    let text = #"{"id":"0198c000-0000-7000-8000-0000000000ff","type":"A\"B\\"}"#
    let head = try #require(ReceivedCommand(Array(text.utf8)))
    let answer = try JSON(parsing: Answers.success(head, took: 7))
    #expect(answer["result"] == ["type": #"A"B\"#, "took": 7])
  }

  @Test(arguments: [
    "", "{}", "garbage", #"{"id":"x","type":"y"}"#, #"{"id":"0198c000-0000-7000-8000-0000000000ff"}"#,
  ])
  func notACommand(_ text: String) { #expect(ReceivedCommand(Array(text.utf8)) == nil) }

  @Test func everyAnswerIsOne() throws {
    let text = #"{"id":"0198c000-0000-7000-8000-0000000000ff","type":"REBOOT"}"#
    let head = try #require(ReceivedCommand(Array(text.utf8)))
    for (bytes, status) in [
      (Answers.acknowledged(head), DeviceStatus.acknowledged), (Answers.success(head, took: 1), .success),
      (Answers.failed(head), .failed),
    ] {
      guard case .status(let answer) = try Uplink(.status, payload: bytes) else { return }
      #expect(
        answer.status == status && answer.id == UUID(uuidString: "0198c000-0000-7000-8000-0000000000ff"))
    }
    #expect(throws: (any Error).self) { try Uplink(.status, payload: Answers.garbage) }
  }
}

@Suite struct BehaviourTests {
  @Test func sharesAreKeptAndSteady() throws {
    var shares = Behaviours.Shares()
    (shares.never, shares.fail, shares.twice) = (10, 20, 30)
    let behaviours = Behaviours(own: ["b": .garbage], shares: shares)
    var counts: [Behaviour: Int] = [:]
    for _ in 0..<20_000 {
      let id = try #require(CommandId(UUID.v7().text.utf8))
      let behaviour = behaviours.of("a", id)
      #expect(behaviours.of("c", id) == behaviour)
      #expect(behaviours.of("b", id) == .garbage)
      counts[behaviour, default: 0] += 1
    }
    for (behaviour, percent) in [(Behaviour.never, 10), (.fail, 20), (.twice, 30), (.obey, 40)] {
      #expect(abs((counts[behaviour] ?? 0) - percent * 200) < 400)
    }
  }

  @Test func desiredDocumentsAreLookedAt() throws {
    let hash = "e09daf8f4e7cbe3b0bbbde5ee4f0cfd9ed8ee8c6e67f4b5c0a1e8c9a1b1b1b1b"
    let text = """
      {"revision":3,"slots":{"a":{"version":1,"sha256":"\(Self.hash)","content":{"b":1,"a":2}},
      "b":{"version":2,"sha256":"\(hash)","content":{"b":1}},"c":{"version":3,"sha256":"\(hash)","size":9}}}
      """
    let document = try #require(DesiredDocument(Array(text.utf8)))
    #expect(document.slots.map(\.verdict) == [.right, .wrongHash, .withoutContent])
    guard case .reported(let slots) = try Uplink(.reported, payload: document.final(fails: false)) else {
      return
    }
    #expect(slots.mapValues(\.status) == ["a": .accepted, "b": .rejected, "c": .failed])
    #expect(slots["a"]?.sha256 == Self.hash)
  }

  /// SHA-256 of `{"a":2,"b":1}`.
  static let hash = "d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772"
}

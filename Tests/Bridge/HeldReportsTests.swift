import FoundationEssentials
import Testing
import Wire

@testable import BridgeDomain

@Suite struct HeldReportsTests {
  private let start = ContinuousClock.now

  private func event(_ key: String, _ type: String = "report") -> Event {
    Event(topic: .deviceUplink, key: key, type: type, payload: [], traceparent: nil)
  }

  @Test func theyGoBeforeTheAnswersOfTheirDevicesAndOnlyOnce() {
    var held = HeldReports<Int>()
    #expect(held.take(before: [event("a")]).isEmpty)
    for (key, type, ticket) in [("a", "1", 1), ("b", "2", 1), ("a", "3", 2)] {
      held.hold(event(key, type), until: start + .seconds(1), ticket)
    }
    #expect(held.next == start + .seconds(1))
    let taken = held.take(before: [event("c"), event("a"), event("a")])
    #expect(taken.map(\.event.type) == ["1", "3"])
    #expect(taken.map(\.ticket) == [1, 2])
    #expect(held.take(before: [event("a")]).isEmpty)
    #expect(held.takeDue(at: start + .seconds(1)).map(\.event.type) == ["2"])
    #expect(held.next == nil)
  }

  @Test func theyGoAloneWhenTheirTimeIsUp() {
    var held = HeldReports<Int>()
    held.hold(event("a", "1"), until: start + .seconds(1), 1)
    held.hold(event("b", "2"), until: start + .seconds(2), 1)
    #expect(held.takeDue(at: start).isEmpty)
    #expect(held.takeDue(at: start + .seconds(1)).map(\.event.type) == ["1"])
    #expect(held.next == start + .seconds(2))
    // One that is held anew has its own time, not that of the one that has gone.
    _ = held.take(before: [event("b")])
    held.hold(event("b", "3"), until: start + .seconds(3), 1)
    #expect(held.takeDue(at: start + .seconds(2)).isEmpty)
    #expect(held.takeDue(at: start + .seconds(3)).map(\.event.type) == ["3"])
    #expect(held.next == nil)
  }

  /// In a crowd there is always one that is held.
  @Test func whatIsGoneIsForgottenThoughOthersAreHeld() {
    var held = HeldReports<Int>()
    for index in 0..<10_000 {
      held.hold(event("\(index)"), until: start + .milliseconds(index), 1)
      #expect(held.takeDue(at: start + .milliseconds(index - 1)).count == (index > 0 ? 1 : 0))
    }
    #expect(held.noted < 200)
    // One that may go earlier does not go before those that are held.
    held.hold(event("late", "late"), until: start, 1)
    #expect(held.takeDue(at: start + .milliseconds(9_998)).isEmpty)
    #expect(held.takeDue(at: start + .milliseconds(9_999)).map(\.event.type) == ["report", "late"])
  }

  @Test func onlyWhatIsOftenFollowedHasPatience() {
    let id = UUID.v7()
    func patience(_ status: DeviceStatus) -> Duration {
      Patience.after(Uplink.status(CommandAnswer(id: id, status: status)).json.bytes)
    }
    #expect(patience(.acknowledged) > .zero)
    for status in DeviceStatus.allCases where status != .acknowledged { #expect(patience(status) == .zero) }
    #expect(Patience.after(Array(#"{"online":true}"#.utf8)) == .zero)
  }
}

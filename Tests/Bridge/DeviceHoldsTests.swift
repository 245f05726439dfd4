import BridgeDomain
import Foundation
import Testing
import Wire

/// Within `#expect` nothing can be changed in place.
private final class Holds {
  private var holds = DeviceHolds()

  var count: Int { holds.count }

  func admits(_ command: CommandDownlink, of deviceId: String, epoch: Int64, now: Date) -> Bool {
    holds.admits(command, of: deviceId, epoch: epoch, now: now)
  }

  func undelivered(_ command: CommandDownlink, of deviceId: String, now: Date) {
    holds.undelivered(command, of: deviceId, now: now)
  }
}

@Suite struct DeviceHoldsTests {
  let now = Date(timeIntervalSince1970: 1_800_000_000)

  func command(
    turn: Int64 = 0, epoch: Int64 = 5, for seconds: Double = 30, lane: String = "default"
  ) -> CommandDownlink {
    CommandDownlink(
      id: .v7(), type: "REBOOT", params: [:], lane: lane, expiresAt: now + seconds,
      deliverBy: now + seconds,
      turn: CommandTurn(epoch: epoch, number: turn))
  }

  @Test func whatWasHandedOverBeforeTheConnectionIsNotTried() {
    let holds = Holds()
    #expect(!holds.admits(command(epoch: 4), of: "a", epoch: 5, now: now))
    #expect(holds.admits(command(epoch: 5), of: "a", epoch: 5, now: now))
    #expect(holds.admits(command(epoch: 6), of: "a", epoch: 5, now: now))
  }

  @Test func noneGoesBeforeAnElderThatWasNotDelivered() {
    let holds = Holds()
    holds.undelivered(command(), of: "a", now: now)
    #expect(!holds.admits(command(), of: "a", epoch: 5, now: now))
    #expect(holds.admits(command(), of: "b", epoch: 5, now: now))
    // The next turn: both come again, the elder first, and nobody listens again.
    #expect(holds.admits(command(turn: 8), of: "a", epoch: 5, now: now))
    holds.undelivered(command(turn: 8), of: "a", now: now)
    #expect(!holds.admits(command(turn: 8), of: "a", epoch: 5, now: now))
    #expect(!holds.admits(command(), of: "a", epoch: 5, now: now))
    #expect(holds.admits(command(turn: 9), of: "a", epoch: 5, now: now))
    #expect(holds.count == 0)
  }

  @Test func lanesDoNotHoldEachOther() {
    let holds = Holds()
    holds.undelivered(command(lane: "a"), of: "d", now: now)
    #expect(!holds.admits(command(lane: "a"), of: "d", epoch: 5, now: now))
    #expect(holds.admits(command(lane: "b"), of: "d", epoch: 5, now: now))
    holds.undelivered(command(turn: 3, lane: "b"), of: "d", now: now)
    // The turn that ends the hold of one says nothing of the other.
    #expect(holds.admits(command(turn: 3, lane: "a"), of: "d", epoch: 5, now: now))
    #expect(!holds.admits(command(turn: 3, lane: "b"), of: "d", epoch: 5, now: now))
    #expect(holds.admits(command(turn: 4, lane: "b"), of: "d", epoch: 5, now: now))
    #expect(holds.count == 0)
  }

  @Test func aHoldEndsWithWhatItWaitsFor() {
    let holds = Holds()
    holds.undelivered(command(for: 1), of: "a", now: now)
    #expect(!holds.admits(command(), of: "a", epoch: 5, now: now + 0.9))
    #expect(holds.admits(command(), of: "a", epoch: 5, now: now + 1))
  }

  @Test func itsMemoryIsBoundedByWhatIsStillOfUse() {
    let holds = Holds()
    for number in 0..<30_000 {
      holds.undelivered(command(for: 1), of: "\(number)", now: now + Double(number) / 1000)
    }
    #expect(holds.count <= 20_001)
  }
}

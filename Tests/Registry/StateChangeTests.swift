import Foundation
import Testing
import Wire

@testable import RegistryDomain

@Suite("What a batch of records comes to")
struct StateChangeTests {
  static func time(_ seconds: Double) -> Date { Date(timeIntervalSince1970: 1_700_000_000 + seconds) }

  static func packet(_ seconds: Double) -> DeviceObservation {
    DeviceObservation(deviceId: "d", at: time(seconds), fact: .packet)
  }
  static func presence(_ online: Bool, _ seconds: Double) -> DeviceObservation {
    DeviceObservation(deviceId: "d", at: time(seconds), fact: .presence(online: online))
  }
  static func state(_ attributes: JSONObject, _ seconds: Double, at: Double? = nil, route: JSON? = nil)
    -> DeviceObservation
  {
    DeviceObservation(
      deviceId: "d", at: time(seconds),
      fact: .state(DeviceState(attributes: attributes, at: at.map(time)), route: route))
  }

  static func fold(_ records: [DeviceObservation]) throws -> StateChange {
    let changes = StateChange.fold(records)
    #expect(changes.count == 1)
    return try #require(changes.first)
  }

  @Test("the newest packet and its route win, whatever the order")
  func packets() throws {
    let late = try Self.fold([Self.packet(5), Self.state([:], 3, route: ["interface": "udp"])])
    #expect(late.seenAt == Self.time(5) && late.way == .init(route: nil, at: Self.time(5)))
    let behindGateway = try Self.fold([Self.packet(3), Self.state([:], 5, route: ["interface": "udp"])])
    #expect(behindGateway.way == .init(route: ["interface": "udp"], at: Self.time(5)))
    let kept = try Self.fold([Self.packet(3), Self.state([:], 5, at: 1, route: ["interface": "udp"])])
    #expect(
      kept.seenAt == Self.time(5) && kept.way == .init(route: nil, at: Self.time(3)), "sent before the other")
  }

  @Test("each attribute has its own time")
  func attributes() throws {
    let change = try Self.fold([
      Self.state(["battery": 3, "rssi": -70], 1), Self.state(["battery": 5], 9, at: 0.5),
      Self.state(["rssi": -60], 2),
    ])
    #expect(
      change.attributes[ExactText("battery")] == .init(value: 3, at: Self.time(1), arrived: Self.time(1)),
      "measured before, sent after")
    #expect(
      change.attributes[ExactText("rssi")] == .init(value: -60, at: Self.time(2), arrived: Self.time(2)))
    #expect(change.seenAt == Self.time(9), "the packet came all the same")
  }

  @Test("at the same time the later record wins")
  func sameTime() throws {
    let change = try Self.fold([
      Self.state(["a": 1], 1), Self.state(["a": 2], 1), Self.presence(true, 1), Self.presence(false, 1),
    ])
    #expect(change.attributes[ExactText("a")]?.value == 2)
    #expect(change.presence?.online == false)
  }

  @Test("a device's clock that is ahead counts as now")
  func clockAhead() throws {
    let change = try Self.fold([Self.state(["a": 1], 1, at: 1_000_000), Self.state(["a": 2], 2)])
    #expect(change.attributes[ExactText("a")] == .init(value: 2, at: Self.time(2), arrived: Self.time(2)))
  }

  @Test("a clock that was never set, or is far ahead, is no clock; one that is a little ahead counts")
  func clocks() throws {
    let old = Date(timeIntervalSince1970: 3).timeIntervalSince1970 - 1_700_000_000
    let lost = try Self.fold([Self.state(["a": 1], 1), Self.state(["a": 2], 2, at: old)])
    #expect(lost.attributes[ExactText("a")] == .init(value: 2, at: Self.time(2), arrived: Self.time(2)))
    let ahead = try Self.fold([Self.state(["a": 1], 1, at: 301), Self.state(["a": 2], 2)])
    #expect(ahead.attributes[ExactText("a")] == .init(value: 1, at: Self.time(301), arrived: Self.time(1)))
    let tooFar = try Self.fold([Self.state(["a": 1], 1, at: 301.5), Self.state(["a": 2], 2)])
    #expect(tooFar.attributes[ExactText("a")] == .init(value: 2, at: Self.time(2), arrived: Self.time(2)))
  }

  @Test("two spellings of a name are two attributes")
  func spellings() throws {
    let change = try Self.fold([Self.state(["caf\u{E9}": 1], 1), Self.state(["cafe\u{301}": 2], 2)])
    #expect(change.attributesJSON.object?.members.map(\.value).count == 2)
  }

  @Test("that it is gone is not heard from the device; each coming is a connection")
  func presence() throws {
    let gone = try Self.fold([Self.presence(false, 1)])
    #expect(gone.seenAt == nil && gone.way == nil)
    #expect(gone.presence == .init(online: false, at: Self.time(1), connections: 0))
    let back = try Self.fold([Self.presence(true, 3), Self.presence(false, 2), Self.presence(true, 1)])
    #expect(back.presence == .init(online: true, at: Self.time(3), connections: 2))
    #expect(back.seenAt == Self.time(3))
  }

  @Test("devices do not mix")
  func devices() {
    let changes = StateChange.fold(
      (0..<100).map { DeviceObservation(deviceId: "d\($0 % 7)", at: Self.time(Double($0)), fact: .packet) })
    #expect(Set(changes.map(\.deviceId)).count == 7)
  }

  @Test("with different times, the order of records does not count")
  func anyOrder() throws {
    for _ in 0..<200 {
      let records = (0..<20).map { number -> DeviceObservation in
        let at = Double(number)
        return switch Int.random(in: 0..<5) {
        case 0: Self.packet(at)
        case 4:
          DeviceObservation(deviceId: "d", at: Self.time(at), fact: .retainedPresence(online: .random()))
        case 1: Self.presence(.random(), at)
        case 2: Self.state(["a": .int(Int64(number))], at, at: at - 0.5)
        default: Self.state(["b": .int(Int64(number))], at, route: ["interface": "udp"])
        }
      }
      #expect(StateChange.fold(records) == StateChange.fold(records.shuffled()))
    }
  }
}

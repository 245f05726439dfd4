import Foundation
import Testing
import Wire

@testable import RegistryDomain

@Suite("What a batch of records comes to")
struct StateChangeTests {
  static func time(_ seconds: Double) -> Date { Date(timeIntervalSince1970: 1_700_000_000 + seconds) }

  static func packet(_ seconds: Double) -> Heard { Heard(deviceId: "d", at: time(seconds), what: .packet) }
  static func presence(_ online: Bool, _ seconds: Double) -> Heard {
    Heard(deviceId: "d", at: time(seconds), what: .presence(online: online))
  }
  static func state(_ attributes: JSONObject, _ seconds: Double, at: Double? = nil, route: JSON? = nil)
    -> Heard
  {
    Heard(
      deviceId: "d", at: time(seconds),
      what: .state(DeviceState(attributes: attributes, at: at.map(time)), route: route))
  }

  static func fold(_ records: [Heard]) throws -> StateChange {
    let changes = StateChange.fold(records)
    #expect(changes.count == 1)
    return try #require(changes.first)
  }

  @Test("the newest packet and its route win, whatever the order")
  func packets() throws {
    let late = try Self.fold([Self.packet(5), Self.state([:], 3, route: ["interface": "udp"])])
    #expect(late.packet == .init(at: Self.time(5), route: nil))
    let behindGateway = try Self.fold([Self.packet(3), Self.state([:], 5, route: ["interface": "udp"])])
    #expect(behindGateway.packet == .init(at: Self.time(5), route: ["interface": "udp"]))
  }

  @Test("each attribute has its own time")
  func attributes() throws {
    let change = try Self.fold([
      Self.state(["battery": 3, "rssi": -70], 1), Self.state(["battery": 5], 9, at: 0.5),
      Self.state(["rssi": -60], 2),
    ])
    #expect(change.attributes["battery"] == .init(value: 3, at: Self.time(1)), "measured before, sent after")
    #expect(change.attributes["rssi"] == .init(value: -60, at: Self.time(2)))
    #expect(change.packet?.at == Self.time(9), "the packet came all the same")
  }

  @Test("at the same time the later record wins")
  func sameTime() throws {
    let change = try Self.fold([
      Self.state(["a": 1], 1), Self.state(["a": 2], 1), Self.presence(true, 1), Self.presence(false, 1),
    ])
    #expect(change.attributes["a"]?.value == 2)
    #expect(change.presence?.online == false)
  }

  @Test("a device's clock that is ahead counts as now")
  func clockAhead() throws {
    let change = try Self.fold([Self.state(["a": 1], 1, at: 1_000_000), Self.state(["a": 2], 2)])
    #expect(change.attributes["a"] == .init(value: 2, at: Self.time(2)))
  }

  @Test("that it is gone is not heard from the device; each coming is a connection")
  func presence() throws {
    let gone = try Self.fold([Self.presence(false, 1)])
    #expect(gone.packet == nil)
    #expect(gone.presence == .init(online: false, at: Self.time(1), connections: 0))
    let back = try Self.fold([Self.presence(true, 3), Self.presence(false, 2), Self.presence(true, 1)])
    #expect(back.presence == .init(online: true, at: Self.time(3), connections: 2))
    #expect(back.packet?.at == Self.time(3))
  }

  @Test("devices do not mix")
  func devices() {
    let changes = StateChange.fold(
      (0..<100).map { Heard(deviceId: "d\($0 % 7)", at: Self.time(Double($0)), what: .packet) })
    #expect(Set(changes.map(\.deviceId)).count == 7)
  }

  @Test("with different times, the order of records does not count")
  func anyOrder() throws {
    for _ in 0..<200 {
      let records = (0..<20).map { number -> Heard in
        let at = Double(number)
        return switch Int.random(in: 0..<4) {
        case 0: Self.packet(at)
        case 1: Self.presence(.random(), at)
        case 2: Self.state(["a": .int(Int64(number))], at, at: at - 0.5)
        default: Self.state(["b": .int(Int64(number))], at, route: ["interface": "udp"])
        }
      }
      #expect(StateChange.fold(records) == StateChange.fold(records.shuffled()))
    }
  }
}

import FoundationEssentials
import Testing
import Wire

@testable import BridgeDomain

@Suite struct JoinedReportsTests {
  private let now = Date(timeIntervalSince1970: 1_700_000_000)
  private let id = UUID.v7()

  private func sent(_ key: String, _ story: String? = nil) -> Event {
    Uplink.sent(id: id, by: "bridge-1").event(deviceId: key, traceparent: story, time: now - 1)
  }

  private func status(_ key: String, _ status: DeviceStatus = .success, _ story: String? = nil) -> Event {
    Uplink.status(CommandAnswer(id: id, status: status)).event(
      deviceId: key, traceparent: story, time: now)
  }

  /// Each record: its key, and what it says.
  private func said(_ events: [Event]) throws -> [String] {
    try events.map { event in
      guard event.type == Uplink.Kind.series.rawValue else { return "\(event.key) \(event.type)" }
      let items = try UplinkSeries.items(event.payload ?? [])
      return "\(event.key) " + items.map { $0.kind == .sent ? "sent" : "status" }.joined(separator: "+")
    }
  }

  @Test func whatIsSaidOfADeviceAtOnceIsOneRecord() throws {
    let joined = JoinedReports.joined(
      [sent("a"), sent("b"), status("a", .acknowledged), status("c"), status("a"), status("b")], now: now)
    #expect(try said(joined) == ["a sent+status+status", "b sent+status", "c martlet.uplink.status"])
    let items = try UplinkSeries.items(joined[0].payload ?? [])
    #expect(items.map(\.time) == [now - 1, now, now])
    #expect(try Uplink(items[0].kind, payload: items[0].payload) == .sent(id: id, by: "bridge-1"))
    #expect(joined[0].time == now)
  }

  @Test func whatIsOtherwiseKeepsItsPlace() throws {
    let state = Event(
      topic: .deviceUplink, key: "a", type: Uplink.Kind.state.rawValue, payload: [], traceparent: nil)
    let letter = Event.deadLetter(origin: "o", key: "a", reason: "r", payload: [])
    let joined = JoinedReports.joined(
      [status("a"), status("a"), state, letter, status("a"), status("a")], now: now)
    #expect(
      try said(joined.filter { $0.topic == .deviceUplink }) == [
        "a status+status", "a martlet.uplink.state", "a status+status",
      ])
    #expect(joined.last === letter)
  }

  /// Or those who read only that a device said something would think it heard from.
  @Test func whatNoDeviceSaidStaysAlone() throws {
    let joined = JoinedReports.joined([sent("a"), sent("a")], now: now)
    #expect(try said(joined) == ["a martlet.uplink.sent", "a martlet.uplink.sent"])
  }

  @Test func storiesAreKeptApartAndHandedOn() throws {
    let (one, other) = (TraceContext().traceparent, TraceContext().traceparent)
    let joined = JoinedReports.joined(
      [sent("a", one), status("a"), status("a", .success, other), status("b", .success, other), status("b")],
      now: now)
    #expect(try said(joined) == ["a sent+status", "a martlet.uplink.status", "b status+status"])
    #expect(joined.map(\.traceparent) == [one, other, other])
  }

  @Test func oneDoesNotGrowForEverAndHoldsNoSeparator() throws {
    let large = Event(
      topic: .deviceUplink, key: "a", type: Uplink.Kind.status.rawValue,
      payload: Array(repeating: 0x20, count: 40_000), traceparent: nil, time: now)
    #expect(JoinedReports.joined([large, large], now: now).count == 2)
    let odd = Event(
      topic: .deviceUplink, key: "a", type: Uplink.Kind.status.rawValue, payload: [UplinkSeries.separator],
      traceparent: nil, time: now)
    #expect(JoinedReports.joined([odd, odd], now: now).count == 2)
  }
}

import FoundationEssentials
import Testing

@testable import Wire

@Suite struct UplinkSeriesTests {
  private let items = [
    UplinkSeries.Item(
      kind: .sent, time: Date(timeIntervalSince1970: 1_700_000_000.125), payload: Array(#"{"id":"1"}"#.utf8)),
    UplinkSeries.Item(
      kind: .status, time: Date(timeIntervalSince1970: 1_700_000_001),
      payload: Array("{\n \"a\": \"}\\n\" }".utf8)),
    UplinkSeries.Item(kind: .status, time: Date(timeIntervalSince1970: 1_700_000_002), payload: []),
  ]

  private func value(_ items: some Sequence<UplinkSeries.Item>) -> [UInt8] {
    items.reduce(into: []) {
      UplinkSeries.append(type: $1.kind.rawValue, time: $1.time, payload: $1.payload, to: &$0)
    }
  }

  @Test func whatIsWrittenIsRead() throws {
    for count in 0...items.count {
      #expect(try UplinkSeries.items(value(items.prefix(count))) == Array(items.prefix(count)))
    }
  }

  /// A bridge that is newer than a service may say more than it understands.
  @Test func kindsThatNobodyKnowsYetArePassedOver() throws {
    var value = value(items.prefix(1))
    UplinkSeries.append(type: "martlet.uplink.new", time: items[0].time, payload: [0x31], to: &value)
    value += self.value(items.suffix(2))
    #expect(try UplinkSeries.items(value) == items)
  }

  /// Cut anywhere, or with any byte another, it is refused or read as something: it never ends the service.
  @Test func whatIsNoSeriesIsRefused() throws {
    let whole = value(items)
    for end in whole.indices.dropFirst() where whole[end] != UplinkSeries.separator {
      #expect(throws: JSONFaults.self) { try UplinkSeries.items(Array(whole[..<end])) }
    }
    for index in whole.indices {
      for byte: UInt8 in [0, 0x1E, 0x22, 0x7D, 0xFF] {
        var changed = whole
        changed[index] = byte
        _ = try? UplinkSeries.items(changed)
      }
    }
    #expect(throws: JSONFaults.self) { try UplinkSeries.items(Array("{}".utf8)) }
    #expect(throws: JSONFaults.self) { try Uplink(.series, payload: whole) }
  }
}

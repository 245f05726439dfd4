import FoundationEssentials
import Kafka
import Testing
import Wire

@testable import BridgeService

/// What of the downlink topic reaches the broker.
@Suite struct DownlinkBatchTests {
  private static let device = "00000000deadbeef"

  private static func message(_ downlink: Downlink, at offset: Int64) -> KafkaMessage {
    let event = downlink.event(deviceId: device, traceparent: nil)
    return KafkaMessage(
      topic: event.topic.rawValue, partition: 3, offset: offset, key: Array(event.key.utf8),
      value: event.payload, headers: [KafkaHeader(EventHeader.type, event.type)])
  }

  private static func command(_ id: UUID) -> Downlink {
    .command(
      CommandDownlink(
        id: id, type: "REBOOT", params: [:], lane: "default", expiresAt: .now, deliverBy: .now,
        turn: CommandTurn(epoch: 0, number: 0)))
  }

  @Test func whatIsWithdrawnBehindItIsNotPublished() {
    let (over, open) = (UUID.v7(), UUID.v7())
    let batch = DownlinkBatch([
      Self.message(Self.command(over), at: 7), Self.message(Self.command(open), at: 8),
      Self.message(.withdraw(id: over), at: 9), Self.message(.receipt(id: over, status: .failed), at: 10),
    ])
    let published = batch.records.compactMap { record -> UUID? in
      guard case .publish = record.plan(now: .distantPast) else { return nil }
      return if case .command(let command) = record.downlink { command.id } else { nil }
    }
    #expect(published == [open])
    #expect(batch.records.count == 2 && batch.deadLetters.isEmpty)
    #expect(batch.next.values.map(\.self) == [11], "the place goes on behind all of them")
  }
}

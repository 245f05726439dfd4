import BridgeDomain
import FoundationEssentials
import Kafka
import Runtime
import Wire

/// One record of `martlet.device.downlink`, read.
struct DownlinkRecord: Sendable {
  let downlink: Downlink
  let payload: [UInt8]
  let deviceId: String
  let traceparent: String?
  let partition: KafkaPartition

  /// - Throws: what is wrong with it.
  init(_ message: KafkaMessage) throws {
    deviceId = message.keyText
    guard Identifier.isDeviceId(deviceId) else {
      throw JSONFaults([JSONFault(pointer: "", message: "has a key that is no deviceId")])
    }
    payload = message.value ?? []
    downlink = try Downlink(type: message.header(EventHeader.type) ?? "", payload: payload)
    traceparent = message.header(EventHeader.traceparent)
    partition = KafkaPartition(topic: message.topic, partition: message.partition)
  }

  /// Of what it is to keep its place in: a lane of its device, or what comes to that which is no command.
  struct Order: Hashable {
    let deviceId: String
    let lane: String?
  }

  var order: Order {
    guard case .command(let command) = downlink else { return Order(deviceId: deviceId, lane: nil) }
    return Order(deviceId: deviceId, lane: command.lane)
  }

  /// The answers that have to be heard before it goes.
  var answerFilter: String? {
    if case .command(let command) = downlink { command.own?.answerFilter } else { nil }
  }

  /// What is to be done with it now.
  func plan(now: Date) -> DownlinkPlan {
    DownlinkPlan(downlink, record: payload, deviceId: deviceId, traceparent: traceparent, now: now)
  }

  /// A report on it, for the services: of what has just happened, though it may have to wait.
  func event(_ report: Uplink) -> Event {
    report.event(deviceId: deviceId, traceparent: traceparent, time: .now)
  }
}

/// What a batch of the downlink topic holds, without the commands that are withdrawn in it: who was held up with a command must
/// not bring it to the device that has its device's deviceId by now.
struct DownlinkBatch: Sendable {
  var records: [DownlinkRecord] = []
  var deadLetters: [Event] = []
  /// Where each partition goes on when the batch is done.
  var next: [KafkaPartition: Int64] = [:]

  init(_ messages: [KafkaMessage]) {
    records.reserveCapacity(messages.count)
    var withdrawn: Set<UUID> = []
    for message in messages {
      do {
        let record = try DownlinkRecord(message)
        if case .withdraw(let id) = record.downlink { withdrawn.insert(id) } else { records.append(record) }
      } catch {
        deadLetters.append(message.deadLetter(Rejection.reason(error)))
      }
      next[KafkaPartition(topic: message.topic, partition: message.partition)] = message.offset + 1
    }
    guard !withdrawn.isEmpty else { return }
    records.removeAll { record in
      if case .command(let command) = record.downlink { withdrawn.contains(command.id) } else { false }
    }
  }
}

import FoundationEssentials
import Wire

/// What the bridge publishes to a device.
public struct Publication: Sendable, Equatable {
  public let topic: String
  public let payload: [UInt8]
  public let retain: Bool
  /// Only a command has them.
  public let command: CommandProperties?
  public let traceparent: String?

  /// A command's id, where its answer goes, and the seconds after which the broker drops it.
  public struct CommandProperties: Sendable, Equatable {
    public let correlation: [UInt8]
    /// Nil where the device does not answer as native ones do.
    public let responseTopic: String?
    public let expirySeconds: UInt32
  }
}

/// What the broker said of a publication.
public enum PublicationOutcome: Sendable, Equatable, CaseIterable {
  case accepted
  /// Nobody subscribes to the topic.
  case noSubscriber
  case refused
}

/// What to do with one downlink now, and what to report afterwards.
public enum DownlinkPlan: Sendable, Equatable {
  /// Publish it.
  case publish(Publication)
  /// Its time is over: report this and publish nothing.
  case report(Uplink)
  /// Nothing: what it says is heeded already.
  case nothing

  /// - Parameters:
  ///   - record: the bytes that the downlink was read from; most of them are what the device gets.
  ///   - now: a command whose `deliverBy` has come is not sent any more.
  public init(_ downlink: Downlink, record: [UInt8], deviceId: String, traceparent: String?, now: Date) {
    switch downlink {
    case .command(let command):
      guard now < command.deliverBy, now < command.expiresAt else {
        self = .report(.undelivered(id: command.id, reason: .expired))
        return
      }
      if let own = command.own {
        self = .publish(
          Publication(
            topic: own.topic, payload: Array(own.payload.utf8), retain: false,
            command: .init(
              correlation: Array(command.id.text.utf8), responseTopic: nil,
              expirySeconds: Self.seconds(until: command.expiresAt, from: now)), traceparent: traceparent))
        return
      }
      self = .publish(
        Publication(
          topic: DeviceTopic.command.of(deviceId), payload: Self.message(command, record), retain: false,
          command: .init(
            correlation: Array(command.id.text.utf8), responseTopic: DeviceTopic.commandStatus.of(deviceId),
            expirySeconds: Self.seconds(until: command.expiresAt, from: now)), traceparent: traceparent))
    case .desired(_, let document):
      self = .publish(
        Publication(
          topic: DeviceTopic.desired.of(deviceId), payload: document, retain: true, command: nil,
          traceparent: traceparent))
    case .clear(let topic):
      self = .publish(
        Publication(
          topic: topic.of(deviceId), payload: [], retain: true, command: nil, traceparent: traceparent))
    case .withdraw: self = .nothing
    case .receipt:
      self = .publish(
        Publication(
          topic: DeviceTopic.commandReceipt.of(deviceId), payload: record, retain: false, command: nil,
          traceparent: nil))
    case .artefact:
      self = .publish(
        Publication(
          topic: DeviceTopic.artefactURL.of(deviceId), payload: record, retain: false, command: nil,
          traceparent: traceparent))
    }
  }

  /// What the services hear of it, if anything.
  public static func report(_ downlink: Downlink, _ outcome: PublicationOutcome) -> Uplink? {
    switch (downlink, outcome) {
    case (.command(let command), .accepted): .sent(id: command.id)
    case (.command(let command), .noSubscriber): .undelivered(id: command.id, reason: .noSubscriber)
    case (.command(let command), .refused): .undelivered(id: command.id, reason: .refused)
    // What the broker keeps is told by the uplink session that watches it (decision 13).
    case (.desired, _), (.receipt, _), (.artefact, _), (.clear, _), (.withdraw, _): nil
    }
  }

  /// What the device gets: the record without its last three members, which are for the bridge; so nothing has to be written
  /// anew. Any other order is written the long way.
  static func message(_ command: CommandDownlink, _ record: [UInt8]) -> [UInt8] {
    let turn = #","epoch":\#(command.turn.epoch),"turn":\#(command.turn.number),"deliverBy":""#
    let tail = turn.utf8.count + 24 + 2
    guard record.count > tail, record.suffix(tail).starts(with: turn.utf8),
      record.suffix(26).allSatisfy({ $0 != UInt8(ascii: "\\") }), record.last == UInt8(ascii: "}")
    else { return command.message.bytes }
    var message = Array(record.dropLast(tail - 1))
    message[message.count - 1] = UInt8(ascii: "}")
    return message
  }

  /// Whole seconds, rounded up: 0 would mean at once, and the device gets the exact time in `expiresAt`.
  private static func seconds(until end: Date, from now: Date) -> UInt32 {
    UInt32(min(max(end.timeIntervalSince(now).rounded(.up), 1), Double(UInt32.max)))
  }
}

import CommandsDomain
import FoundationEssentials
import Wire

/// The Kafka records that tell of commands: public events, and what the bridge shall send.
enum CommandRecords {
  static let createdType = "martlet.command.created"

  static func created(_ command: Command) -> Event {
    event(createdType, command.head, command.progress, at: command.createdAt)
  }

  /// What the last occurrence made of a command.
  static func changed(_ head: CommandHead, _ progress: CommandProgress, by event: CommandEvent, at: Date)
    -> Event
  {
    self.event("martlet.command.\(event.rawValue)", head, progress, at: at)
  }

  /// The command on its way to the bridge.
  static func downlink(_ head: CommandHead, params: JSON, progress: CommandProgress, at now: Date) -> Event {
    let deadline = progress.deadline ?? now
    // What is not SENT yet may be answered until its next deadline, which begins when the broker has it.
    let expiresAt =
      progress.status == .pending ? head.timeouts.deadline(.sent, since: now) ?? deadline : deadline
    return Downlink.command(
      CommandDownlink(
        id: head.id, type: head.type, params: params, lane: head.lane, expiresAt: expiresAt,
        deliverBy: deadline)
    ).event(deviceId: head.deviceId, traceparent: head.traceparent)
  }

  static func receipt(_ head: CommandHead, _ status: DeviceStatus) -> Event {
    Downlink.receipt(id: head.id, status: status).event(
      deviceId: head.deviceId, traceparent: head.traceparent)
  }

  private static func event(_ type: String, _ head: CommandHead, _ progress: CommandProgress, at: Date)
    -> Event
  {
    Event(
      topic: .commandsEvents, key: head.deviceId, type: type,
      json: .compact([
        "commandId": .string(head.id.text), "deviceId": .string(head.deviceId),
        "organisationId": .string(head.organisationId.text), "type": .string(head.type),
        "lane": .string(head.lane),
        "status": .string(progress.status.rawValue), "reason": progress.reason.map { .string($0) },
        "at": .string(at.rfc3339), "rev": .int(progress.rev), "attempts": .int(Int64(progress.attempts)),
        "result": progress.result, "error": progress.error?.json, "lateOutcome": progress.lateOutcome,
      ]), traceparent: head.traceparent)
  }
}

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
  static func downlink(
    _ head: CommandHead, params: JSON, progress: CommandProgress, turn: CommandTurn, at now: Date
  ) -> Event {
    let deadline = progress.deadline ?? now
    // What is not SENT yet may be answered until its next deadline, which begins when the broker has it.
    let expiresAt =
      progress.status == .pending ? head.timeouts.deadline(.sent, since: now) ?? deadline : deadline
    return Downlink.command(
      CommandDownlink(
        id: head.id, type: head.type, params: params, lane: head.lane, expiresAt: expiresAt,
        deliverBy: deadline, turn: turn)
    ).event(deviceId: head.deviceId, traceparent: head.traceparent)
  }

  static func receipt(_ head: CommandHead, _ status: DeviceStatus) -> Event {
    Downlink.receipt(id: head.id, status: status).event(
      deviceId: head.deviceId, traceparent: head.traceparent)
  }

  private static func event(_ type: String, _ head: CommandHead, _ progress: CommandProgress, at: Date)
    -> Event
  {
    var object = JSONObjectWriter(capacity: 512)
    object.add("commandId", head.id)
    object.add("deviceId", head.deviceId)
    object.add("organisationId", head.organisationId)
    object.add("type", head.type)
    object.add("lane", head.lane)
    object.add("status", plain: progress.status.rawValue)
    object.add("reason", progress.reason)
    object.add("at", at)
    object.add("rev", progress.rev)
    object.add("attempts", Int64(progress.attempts))
    object.add("result", progress.result)
    object.add("error", progress.error?.json)
    object.add("lateOutcome", progress.lateOutcome)
    return Event(
      topic: .commandsEvents, key: head.deviceId, type: type, payload: object.finish(),
      traceparent: head.traceparent)
  }
}

import CommandsDomain
import FoundationEssentials
import Wire

/// The Kafka records that tell of commands: public events, and what the bridge shall send.
enum CommandRecords {
  static let createdType = "martlet.command.created"

  static func created(_ command: Command) -> Event {
    event(
      createdType, command.head, command.state, at: command.createdAt, retryOf: command.retryOf,
      bulkId: command.bulkId)
  }

  /// What the last occurrence made of a command.
  static func changed(_ head: CommandHead, _ state: CommandState, by event: CommandEvent, at: Date)
    -> Event
  {
    self.event("martlet.command.\(event.rawValue)", head, state, at: at)
  }

  /// The command on its way to the bridge, or to config.
  /// - Parameters:
  ///   - device: the record id of its device; config does nothing without.
  ///   - name: who made it.
  static func downlink(
    _ head: CommandHead, params: JSON, own: OwnCommand? = nil, state: CommandState, turn: CommandTurn,
    of device: UUID?, by name: String, at now: Date
  ) -> Event {
    let deadline = state.deadline ?? now
    if let action = head.action {
      return ConfigRequest.bind(
        BindingRequest(
          commandId: head.id, action: action, organisationId: head.organisationId, deviceId: head.deviceId,
          deviceRecord: device ?? head.id, params: params, by: name, deliverBy: deadline,
          followUntil: now + head.longest)
      ).event(deviceId: head.deviceId, traceparent: head.traceparent)
    }
    // What is not SENT yet may be answered until its next deadline, which begins when the broker has it.
    let expiresAt =
      state.status == .pending ? head.timeouts.deadline(.sent, since: now) ?? deadline : deadline
    return Downlink.command(
      CommandDownlink(
        id: head.id, type: head.type, params: params, lane: head.lane, expiresAt: expiresAt,
        deliverBy: deadline, turn: turn, own: own?.delivery)
    ).event(deviceId: head.deviceId, traceparent: head.traceparent)
  }

  /// Whoever has it, config or the bridge, need not do it any more.
  static func withdrawn(_ head: CommandHead) -> Event {
    guard head.action == nil else {
      return ConfigRequest.withdraw(commandId: head.id)
        .event(deviceId: head.deviceId, traceparent: head.traceparent)
    }
    return Downlink.withdraw(id: head.id).event(deviceId: head.deviceId, traceparent: head.traceparent)
  }

  static func receipt(_ head: CommandHead, _ status: DeviceStatus) -> Event {
    Downlink.receipt(id: head.id, status: ReceiptStatus(status)).event(
      deviceId: head.deviceId, traceparent: head.traceparent)
  }

  /// There is no such command, any more: its answer need not be said again.
  static func unknown(_ id: UUID, of deviceId: String) -> Event {
    Downlink.receipt(id: id, status: .unknown).event(deviceId: deviceId, traceparent: nil)
  }

  private static func event(
    _ type: String, _ head: CommandHead, _ state: CommandState, at: Date, retryOf: UUID? = nil,
    bulkId: UUID? = nil
  ) -> Event {
    var object = JSONObjectWriter(capacity: 512)
    object.add("commandId", head.id)
    object.add("deviceId", head.deviceId)
    object.add("organisationId", head.organisationId)
    object.add("type", head.type)
    object.add("lane", head.lane)
    object.add("status", plain: state.status.rawValue)
    object.add("reason", state.reason)
    object.add("at", at)
    object.add("rev", state.rev)
    object.add("attempts", Int64(state.attempts))
    object.add("result", state.result)
    object.add("error", state.error?.json)
    object.add("lateOutcome", state.lateOutcome)
    object.add("progress", state.progress)
    if let retryOf { object.add("retryOf", retryOf) }
    if let bulkId { object.add("bulkId", bulkId) }
    return Event(
      topic: .commandsEvents, key: head.deviceId, type: type, payload: object.finish(),
      traceparent: head.traceparent)
  }
}

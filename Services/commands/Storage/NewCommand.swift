import CommandsDomain
import Wire

/// A command to be stored, with the records that tell of it. A class, since it is handed on a dozen times: a copy of all that it
/// holds retains dozens of objects.
final class NewCommand: Sendable {
  let command: Command
  /// For the public topic.
  let created: Event
  /// For the bridge, if its turn is now.
  let downlink: Event
  /// What `downlink` says.
  let epoch: Int64
  /// As it was looked up: the command is stored only while the directory still has it so.
  let device: DeviceEntity

  init(command: Command, created: Event, downlink: Event, epoch: Int64, device: DeviceEntity) {
    (self.command, self.created, self.downlink) = (command, created, downlink)
    (self.epoch, self.device) = (epoch, device)
  }

  /// Whether nothing about it keeps it from going at once.
  var mayGoAtOnce: Bool { command.head.action == nil && command.delivery == Delivery() }

  /// What its records hold, for bounds.
  var bytes: Int { (created.payload?.count ?? 0) + (downlink.payload?.count ?? 0) }
}

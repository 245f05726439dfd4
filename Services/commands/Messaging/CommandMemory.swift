import CommandsDomain
import FoundationEssentials
import Threads

/// Who moves commands: as timelines name it, and what it remembers of those that it has moved.
struct Mover: Sendable {
  let name: String
  let memory: CommandMemory

  init(_ name: String, memory: CommandMemory = CommandMemory()) { (self.name, self.memory) = (name, memory) }
}

/// Commands on the move as this replica last wrote them: what was just made or moved need not be read to be moved on.
///
/// Whether they are still so is for the database to say: one that is remembered is written only from the `rev` that it had, and
/// looked at in the same transaction if it is not written. Whoever takes some takes them away, so that after a transaction that
/// came to nothing they are read.
final class CommandMemory: Sendable {
  /// So many notes are kept, about half a kilobyte each: a second of a busy replica.
  static let room = 16_384

  fileprivate struct Notes {
    var commands: [UUID: LoadedCommand] = [:]
    /// When each was noted, oldest first, as a ring; one that was noted again is in it twice.
    var order: [UUID] = []
    var oldest = 0
  }

  private let notes = Locked(Notes())

  /// All of these; nil if there are none, or one is not known.
  func take(_ ids: Set<UUID>) -> [LoadedCommand]? {
    notes.withLock { notes in
      guard !ids.isEmpty, ids.allSatisfy({ notes.commands[$0] != nil }) else { return nil }
      return ids.compactMap { notes.commands.removeValue(forKey: $0) }
    }
  }

  /// Notes what these have become, after the commit: those that go on as they are written, the others not at all.
  func settle(_ moved: [LoadedCommand]) {
    notes.withLock { notes in
      for command in moved {
        // What waits for its device changes without a `rev`.
        if command.state.status.isOpen, !command.state.awaitsDevice {
          notes.keep(command.written)
        } else {
          notes.commands[command.head.id] = nil
        }
      }
    }
  }
}

extension CommandMemory.Notes {
  fileprivate mutating func keep(_ command: LoadedCommand) {
    let id = command.head.id
    commands[id] = command
    guard order.count == CommandMemory.room else { return order.append(id) }
    if order[oldest] != id { commands[order[oldest]] = nil }
    order[oldest] = id
    oldest = (oldest + 1) % CommandMemory.room
  }
}

extension LoadedCommand {
  /// One that has just been stored and goes to its device.
  init(made command: Command) {
    var state = command.state
    state.attempts = 1
    self.init(
      head: command.head, readRev: state.rev, readDeadline: state.deadline, readStatus: state.status,
      isExclusive: command.delivery.isExclusive, state: state)
  }

  /// As it would be read, once it is written.
  fileprivate var written: LoadedCommand {
    var state = state
    (state.timeline, state.progress, state.result, state.error) = ([], nil, nil, nil)
    return LoadedCommand(
      head: head, readRev: state.rev, readDeadline: state.deadline, readStatus: state.status,
      isExclusive: isExclusive, state: state)
  }
}

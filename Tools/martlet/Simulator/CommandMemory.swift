/// What a device remembers of its commands, so that a repeat is not executed again: the last few thousand.
struct CommandMemory: Sendable {
  /// How far a command has come on the device.
  enum State: Sendable, Equatable {
    /// It came and is ignored.
    case ignored
    /// It is being worked on.
    case working
    /// It is done.
    case done(failed: Bool, took: Int)
  }

  static let capacity = 4096

  private var states: [CommandId: State] = [:]
  private var order: [CommandId] = []
  private var oldest = 0

  /// What became of it, if it came before.
  subscript(_ id: CommandId) -> State? { states[id] }

  /// Notes what has become of it; a new one drives the oldest out.
  mutating func set(_ id: CommandId, _ state: State) {
    if states.updateValue(state, forKey: id) != nil { return }
    if order.count < Self.capacity { return order.append(id) }
    states[order[oldest]] = nil
    order[oldest] = id
    oldest = (oldest + 1) % Self.capacity
  }

  var count: Int { states.count }
}

/// What a device does with a command that has just come.
struct CommandReaction: Sendable, Equatable {
  /// What it does besides answering.
  enum Deed: Sendable, Equatable {
    case nothing
    /// It starts to work on it.
    case execute
    /// It works on it and drops the connection before it answers.
    case executeAndVanish
    case sendGarbage
  }

  /// Whether it had come before.
  let isRepeat: Bool
  let deed: Deed
  /// Whether it says ACKNOWLEDGED.
  let acknowledges: Bool
  /// The final answer, if it can be given again at once.
  let final: CommandMemory.State?

  /// - Parameter known: what the device remembers of it.
  init(_ behaviour: Behaviour, known: CommandMemory.State?) {
    isRepeat = known != nil
    switch (known, behaviour) {
    case (.done?, _):
      (deed, acknowledges, final) = (.nothing, false, known)
    case (.working?, _):
      (deed, acknowledges, final) = (.nothing, true, nil)
    case (.ignored?, .garbage), (nil, .garbage):
      (deed, acknowledges, final) = (.sendGarbage, false, nil)
    case (.ignored?, _), (nil, .never):
      (deed, acknowledges, final) = (.nothing, false, nil)
    case (nil, .offline):
      (deed, acknowledges, final) = (.executeAndVanish, false, nil)
    case (nil, .obey), (nil, .late), (nil, .twice), (nil, .fail):
      (deed, acknowledges, final) = (.execute, true, nil)
    }
  }
}

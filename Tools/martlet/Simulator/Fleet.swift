import Loop
import Synchronization

/// What the devices of a fleet share.
final class Fleet: Sendable {
  let settings: SimulatorSettings
  let behaviours: Behaviours
  let log: EventLog
  let timers: TimerQueue
  let counts = Counts()

  init(_ settings: SimulatorSettings, loop: EventLoop) throws {
    timers = TimerQueue(loop)
    self.settings = settings
    behaviours = try settings.allBehaviours()
    log = try EventLog(path: settings.log)
  }

  /// For the progress line.
  final class Counts: Sendable {
    let connected = Atomic(0)
    let deliveries = Atomic(0)
    let repeats = Atomic(0)
    let executions = Atomic(0)
    let documents = Atomic(0)

    var line: String {
      func value(_ count: borrowing Atomic<Int>) -> Int { count.load(ordering: .relaxed) }
      return "\(value(connected)) connected, \(value(deliveries)) commands (\(value(repeats)) repeats), "
        + "\(value(executions)) executed, \(value(documents)) desired documents"
    }
  }
}

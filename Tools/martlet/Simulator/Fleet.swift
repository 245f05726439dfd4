import Loop

/// What the devices of a fleet share. All of it, and all devices, live on one loop.
final class Fleet {
  let settings: SimulatorSettings
  let behaviours: Behaviours
  let log: EventLog
  let loop: EventLoop
  var counts = Counts()

  init(_ settings: SimulatorSettings, loop: EventLoop) throws {
    self.settings = settings
    self.loop = loop
    behaviours = try settings.allBehaviours()
    log = try EventLog(path: settings.log)
  }

  /// Does it after a while.
  func after(_ delay: Duration, _ body: @escaping () -> Void) { loop.schedule(after: delay, body) }

  /// For the progress line.
  struct Counts {
    var connected = 0
    var deliveries = 0
    var repeats = 0
    var executions = 0
    var documents = 0

    var line: String {
      "\(connected) connected, \(deliveries) commands (\(repeats) repeats), \(executions) executed, "
        + "\(documents) desired documents"
    }
  }
}

import Glibc
import Loop
import MQTT
import Observability
import Runtime

/// A fleet of simulated devices, each with its own MQTT connection, all on the program's loop.
public actor SimulatedFleet: Service {
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private nonisolated let loop: EventLoop
  private let fleet: Fleet
  private let devices: [SimulatedDevice]
  private nonisolated let logger = Logger(label: "simulate", level: .warning)

  /// - Throws: a setting that cannot work.
  public init(_ settings: SimulatorSettings, loop: EventLoop) throws {
    self.loop = loop
    let fleet = try Fleet(settings, loop: loop)
    self.fleet = fleet
    devices = try settings.deviceIds().map { SimulatedDevice($0, fleet: fleet) }
  }

  /// Runs until SIGTERM.
  public nonisolated func runUntilSignalled() async throws {
    try await ServiceGroup([("simulate", self)], loop: loop, logger: logger, grace: .seconds(8)).run()
  }

  public func run() async throws {
    Self.raiseDescriptorLimit()
    flushLater()
    for device in devices { device.start(logger: logger) }
    await watch()
    // Not in this task: it is cancelled.
    await loop.task { await self.end() }.value
    fleet.log.flush()
    if !fleet.settings.isQuiet { Program.print("ended: \(fleet.counts.line)") }
  }

  private func end() async {
    let sessions = devices.compactMap { $0.sayGoodbye() }
    await withTaskGroup { group in
      for session in sessions { group.addTask { await session.disconnect(timeout: .seconds(3)) } }
    }
  }

  private func flushLater() {
    fleet.after(.milliseconds(100)) { [fleet] in
      fleet.log.flush()
      self.assumeIsolated { $0.flushLater() }
    }
  }

  /// Says how it goes until the task is cancelled.
  private func watch() async {
    let end = fleet.settings.exitAfter.map { ContinuousClock.now + $0 }
    var ticks = 0
    while !Task.isCancelled {
      if let end, .now >= end { kill(getpid(), SIGTERM) }
      ticks += 1
      if !fleet.settings.isQuiet, ticks % 5 == 1 {
        Program.print("\(devices.count) devices: \(fleet.counts.line)")
      }
      try? await loop.sleep(for: .seconds(1))
    }
  }

  /// A descriptor for each device: the usual soft limit of 1024 is too few.
  private static func raiseDescriptorLimit() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(resource, &limit)
  }
}

import Glibc
import Loop
import MQTT
import Observability
import Runtime

/// A fleet of simulated devices, each with its own MQTT connection, all on two threads.
public struct SimulatedFleet: Service {
  private let loop: EventLoop
  private let fleet: Fleet
  private let devices: [SimulatedDevice]
  private let logger = Logger(label: "simulate", level: .warning)

  /// - Throws: a setting that cannot work.
  public init(_ settings: SimulatorSettings, loop: EventLoop) throws {
    self.loop = loop
    let fleet = try Fleet(settings, loop: loop)
    self.fleet = fleet
    devices = try settings.deviceIds().map { SimulatedDevice($0, fleet: fleet) }
  }

  /// Runs until SIGTERM.
  public func runUntilSignalled() async throws {
    try await ServiceGroup([("simulate", self)], loop: loop, logger: logger, grace: .seconds(8)).run()
  }

  public func run() async throws {
    Self.raiseDescriptorLimit()
    let loops = [1, 2].map { MQTTEventLoop(name: "mqtt-sim-\($0)", logger: logger) }
    let timers = loop.task { [fleet] in await fleet.timers.run() }
    let flushing = loop.task(throwing: { [loop, fleet] in
      while !Task.isCancelled {
        try await loop.sleep(for: .milliseconds(100))
        fleet.log.flush()
      }
    })
    for (index, device) in devices.enumerated() { device.start(on: loops[index % 2], logger: logger) }
    await watch()
    timers.cancel()
    // Not in this task: it is cancelled.
    await loop.task { [devices] in
      await withTaskGroup { group in for device in devices { group.addTask { await device.end() } } }
    }.value
    for loop in loops { loop.shutdown() }
    flushing.cancel()
    fleet.log.flush()
    if !fleet.settings.isQuiet { Program.print("ended: \(fleet.counts.line)") }
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

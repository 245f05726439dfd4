import BridgeDomain
import FoundationEssentials
import Loop
import MQTT
import Observability
import Runtime
import Synchronization
import Wire

/// Keeps this replica's client id and its uplink session, and takes over those of replicas that are gone.
actor UplinkSlots: Service {
  private let slots: ClientSlots
  private let settings: MqttSettings
  private let handler: UplinkHandler
  private let logger: Logger
  private nonisolated let loop: EventLoop
  private let look: Wakeup
  private var replica: SlotPlan.Replica
  private var home: MQTTUplinkSession?
  private var draining: [Int: (task: Task<Void, Never>, session: MQTTUplinkSession?)] = [:]
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
  private nonisolated let isUp = Atomic(false)

  /// How often the leases are renewed.
  private static let interval = Duration.seconds(3)

  init(
    loop: EventLoop, slots: ClientSlots, replica: String, settings: MqttSettings, handler: UplinkHandler,
    logger: Logger
  ) {
    self.loop = loop
    look = Wakeup(loop)
    self.slots = slots
    self.settings = settings
    self.handler = handler
    self.logger = logger.labelled("uplink")
    self.replica = SlotPlan.Replica(holder: ClientSlot.Holder(replica: replica, process: .v7()))
  }

  /// What is not ready, for `/readyz`.
  nonisolated func notReady() -> String? {
    isUp.load(ordering: .relaxed) ? nil : "not connected to the MQTT broker"
  }

  func run() async throws {
    while !Task.isCancelled {
      do { try await round() } catch is CancellationError { break } catch {
        logger.warning("the client ids' leases could not be looked at", ["error": "\(error)"])
      }
      await look.wait(atMost: replica.home == nil ? .milliseconds(500) : Self.interval)
    }
    // Not in this task: it is cancelled.
    await loop.task { await self.depart() }.value
  }

  private func round() async throws {
    replica.isUp = home?.isConnected ?? false
    for action in try await slots.round(replica) {
      switch action {
      case .renew: break
      case .claim(let number): claim(number)
      case .giveUp(let number): await giveUp(number)
      case .adopt(let number): adopt(number)
      }
    }
  }

  private func claim(_ number: Int) {
    logger.info("took a client id", ["slot": "\(number)"])
    replica.home = number
    let session = session(number) { [weak self, look] state in
      switch state {
      case .connected: self?.isUp.store(true, ordering: .relaxed)
      case .disconnected: self?.isUp.store(false, ordering: .relaxed)
      }
      // Either there may be something to adopt now, or somebody else has this client id.
      look.signal()
    }
    home = session
    session.start()
  }

  private func giveUp(_ number: Int) async {
    logger.warning("another process has this client id now", ["slot": "\(number)"])
    replica.hasLost = true
    replica.adopted.remove(number)
    await stopDraining(number)
    guard replica.home == number else { return }
    replica.home = nil
    await home?.stop(timeout: .seconds(2))
    home = nil
    isUp.store(false, ordering: .relaxed)
    look.signal()
  }

  /// Cuts the session off at once and leaves it at the broker: it is another's now.
  private func stopDraining(_ number: Int) async {
    guard let (task, session) = draining.removeValue(forKey: number) else { return }
    task.cancel()
    await session?.stop(timeout: .zero)
  }

  private func adopt(_ number: Int) {
    logger.notice("taking over what a replica left behind", ["slot": "\(number)"])
    replica.adopted.insert(number)
    draining[number] = (loop.task { await self.drain(number) }, nil)
  }

  /// Handles what waits in the slot's session and ends it, however often that takes.
  private func drain(_ number: Int) async {
    while !Task.isCancelled {
      let session = session(number) { _ in }
      draining[number]?.session = session
      session.start()
      if await session.leave(timeout: .seconds(30)) {
        do {
          try await slots.free(number, replica.holder)
          logger.notice("took over what a replica left behind", ["slot": "\(number)"])
          replica.adopted.remove(number)
          draining[number] = nil
          return
        } catch {
          logger.warning("a client id could not be freed", ["slot": "\(number)", "error": "\(error)"])
        }
      }
      try? await loop.sleep(for: .seconds(1))
    }
  }

  /// Leaves in order. If another replica stays, the session is drained and ended; if not, the broker keeps it, and
  /// with it what devices send until the next one comes.
  private func depart() async {
    for number in draining.keys { await stopDraining(number) }
    guard let home, let number = replica.home else { return }
    let holder = replica.holder
    let slots = slots
    let mayEnd = await Bounded.run(loop, .seconds(1)) { (try? await slots.depart(holder)) ?? false } ?? false
    let hasEnded = mayEnd ? await home.leave(timeout: .milliseconds(1200)) : false
    if !mayEnd { await home.stop(timeout: .milliseconds(1200)) }
    _ = await Bounded.run(loop, .milliseconds(500)) {
      if hasEnded {
        try? await slots.free(number, holder)
      } else {
        try? await slots.leaveBehind(number, holder)
      }
    }
    logger.info(hasEnded ? "left, session ended" : "left, session kept for the next", ["slot": "\(number)"])
  }

  private func session(
    _ number: Int, _ onState: @escaping @Sendable (MQTTSessionState) -> Void
  ) -> MQTTUplinkSession {
    MQTTUplinkSession(
      configuration: settings.uplink(slot: number), loop: loop,
      subscriptions: DeviceTopic.uplinks.map { MQTTSubscription("$share/martlet/\($0.filter)") },
      logger: logger,
      handle: { [handler] in try await handler.handle($0) }, onState: onState)
  }
}

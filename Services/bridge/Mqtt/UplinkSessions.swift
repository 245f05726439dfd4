import BridgeDomain
import FoundationEssentials
import Loop
import MQTT
import Observability
import Runtime
import Synchronization

/// Keeps this replica's share of the uplink sessions: one replica at a time reads each, for as long as it holds the
/// session's lease.
actor UplinkSessions: Service {
  private nonisolated let loop: EventLoop
  private let leases: UplinkLeases
  private let settings: MqttSettings
  private let handler: UplinkHandler
  private let metrics: BridgeMetrics
  private let logger: Logger
  /// Whether this replica reaches the broker.
  private let isConnected: @Sendable () -> Bool
  private let look: Wakeup
  /// When to look again.
  private var pause = Duration.zero
  private var held: [UplinkSessionName: HeldSession] = [:]
  private var lives = 0
  private var lastConnected = ContinuousClock.now - .seconds(3600)
  /// Whether every class has had its reader once: from then on only our own sessions count for readiness.
  private var hasBeenComplete = false
  private nonisolated let unready = Mutex<String?>("the leases have not been looked at yet")
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  /// How often leases are renewed.
  private static let interval = Duration.seconds(1)
  /// A replica without the broker for so long gives its sessions to one that has it.
  private static let patience = Duration.seconds(3)
  /// How long what is in hand may take when a session is handed over.
  private static let finishing = Duration.milliseconds(1200)

  init(
    loop: EventLoop, leases: UplinkLeases, settings: MqttSettings, handler: UplinkHandler,
    metrics: BridgeMetrics, logger: Logger, isConnected: @escaping @Sendable () -> Bool
  ) {
    self.loop = loop
    look = Wakeup(loop)
    (self.leases, self.settings, self.handler, self.metrics) = (leases, settings, handler, metrics)
    self.logger = logger.labelled("uplink")
    self.isConnected = isConnected
  }

  /// What is not ready, for `/readyz`.
  nonisolated func notReady() -> String? { unready.withLock { $0 } }

  func run() async throws {
    let watch = loop.task { await self.watchLeases() }
    defer { watch.cancel() }
    while !Task.isCancelled {
      pause = hasBeenComplete ? Self.interval : .milliseconds(200)
      do { try await round() } catch is CancellationError { break } catch {
        logger.warning("the uplink sessions' leases could not be looked at", ["error": "\(error)"])
      }
      await look.wait(atMost: pause)
    }
    // Not in this task: it is cancelled.
    await loop.task { await self.depart() }.value
  }

  /// Renews, looks, and does what is to be done.
  private func round() async throws {
    if isConnected() { lastConnected = .now }
    let end = ContinuousClock.now + UplinkLeases.validity
    let (rows, replicas, next) = try await leases.renew(
      isAble: .now - lastConnected < Self.patience, up: held.filter(\.value.isUp).map(\.key))
    // The lease of one that is dead runs out before it is renewed: it is taken at once.
    if let next { pause = min(pause, next + .milliseconds(20)) }
    for action in SessionPlan.actions(
      leases: rows, replicas: replicas, me: leases.me, held: Set(held.keys))
    {
      switch action {
      case .keep(let name, let epoch): keep(name, epoch, until: end)
      case .lose(let name): await lose(name)
      case .handOver(let name): try await handOver(name)
      case .take(let name, let epoch): try await take(name, epoch)
      }
    }
    if SessionPlan.isComplete(rows) { hasBeenComplete = true }
    noteReadiness()
  }

  private func keep(_ name: UplinkSessionName, _ epoch: Int64, until end: ContinuousClock.Instant) {
    if held[name] == nil { held[name] = HeldSession(epoch: epoch, until: end) }
    held[name]?.epoch = epoch
    held[name]?.lease.renew(until: end)
    guard let session = held[name], session.link == nil else { return }
    if session.isIdle { connect(name) } else { pause = max(.zero, min(pause, session.nextTry - .now)) }
  }

  private func take(_ name: UplinkSessionName, _ epoch: Int64) async throws {
    let end = ContinuousClock.now + UplinkLeases.validity
    guard let epoch = try await leases.take(name, epoch: epoch) else { return }
    logger.notice("took an uplink session", ["session": name.text, "epoch": "\(epoch)"])
    keep(name, epoch, until: end)
  }

  private func lose(_ name: UplinkSessionName) async {
    logger.warning("another replica has this uplink session now", ["session": name.text])
    await cut(name)
    held[name] = nil
  }

  private func handOver(_ name: UplinkSessionName) async throws {
    guard let session = held[name] else { return }
    held[name]?.draining?.cancel()
    await session.link?.stop(timeout: Self.finishing)
    held[name] = nil
    noteUp(name, false)
    try await leases.release(name, epoch: session.epoch)
    logger.notice("handed an uplink session over", ["session": name.text])
  }

  // MARK: Connections

  private func connect(_ name: UplinkSessionName) {
    guard let lease = held[name]?.lease else { return }
    lives += 1
    let life = lives
    let link = MQTTUplinkSession(
      configuration: settings.uplink(name), loop: loop, subscriptions: MqttSettings.subscriptions(name),
      logger: logger, reconnects: false,
      handle: { [handler] messages in
        // A process that was stopped meanwhile: whoever reads the session now has these messages too.
        guard lease.isValid else { throw LeaseRanOut() }
        try await handler.handle(messages)
      },
      onState: { [weak self] state in self?.assumeIsolated { $0.changed(name, life, state) } })
    held[name]?.link = link
    held[name]?.life = life
    link.start()
    if case .slot = name { held[name]?.draining = loop.task { await self.drain(name, link) } }
  }

  private func changed(_ name: UplinkSessionName, _ life: Int, _ state: MQTTSessionState) {
    guard held[name]?.life == life else { return }
    switch state {
    case .connected:
      held[name]?.upSince = .now
      noteUp(name, true)
    case .disconnected(let reason):
      if held[name]?.isUp == true { noteLoss(name, reason) }
      held[name]?.lostConnection()
      noteUp(name, false)
    }
    noteReadiness()
    // The row says that it is up; or whether it is ours still: only then there is another connection.
    look.signal()
  }

  private func noteLoss(_ name: UplinkSessionName, _ reason: MQTTDisconnectReason) {
    guard let session = held[name], session.failures > 0 else { return }
    logger.warning(
      "its connections do not last: does another stack use the same mqtt-client-prefix?",
      ["session": name.text, "reason": reason.description])
  }

  /// Ends the connection here and now, without an acknowledgement.
  private func cut(_ name: UplinkSessionName) async {
    held[name]?.draining?.cancel()
    guard let link = held[name]?.link.take() else { return }
    held[name]?.life = 0
    noteUp(name, false)
    await link.stop(timeout: .zero)
  }

  /// Nothing is read on a lease that has run out: the database does not answer, or this process was stopped.
  private func watchLeases() async {
    while !Task.isCancelled {
      let next = held.values.filter { $0.link != nil }.map(\.lease.end).min() ?? .now + Self.interval
      try? await loop.sleep(until: min(next, .now + Self.interval))
      for (name, session) in held where session.link != nil && !session.lease.isValid {
        logger.warning("the lease ran out, the session is left", ["session": name.text])
        await cut(name)
      }
      noteReadiness()
    }
  }

  /// Handles what waits in a session of the former design and ends it, however often that takes.
  private func drain(_ name: UplinkSessionName, _ link: MQTTUplinkSession) async {
    guard await link.leave(timeout: .seconds(30)), !Task.isCancelled else {
      if held[name]?.link === link { held[name]?.link = nil }
      return look.signal()
    }
    do { try await leases.remove(name) } catch {
      return logger.warning("a session's row could not be removed", ["error": "\(error)"])
    }
    held[name] = nil
    logger.notice("emptied and ended a session of the former design", ["session": name.text])
  }

  /// Leaves in order: the sessions stay at the broker, and the next replica may take them at once.
  private func depart() async {
    let links = held.values.compactMap(\.link)
    for session in held.values { session.draining?.cancel() }
    let stopping = links.map { link in loop.task { await link.stop(timeout: Self.finishing) } }
    for task in stopping { await task.value }
    let leases = leases
    _ = await Bounded.run(loop, .milliseconds(500)) { try? await leases.depart() }
    logger.info("left, the sessions are kept for the next")
  }

  // MARK: What others see

  private func noteUp(_ name: UplinkSessionName, _ isUp: Bool) {
    held[name]?.isUp = isUp
    if case .uplink(let known) = name { metrics.note(known, isRead: isUp) }
  }

  private func noteReadiness() {
    let down = held.filter { !$0.value.isUp }.keys.sorted().first
    unready.withLock {
      $0 =
        if let down {
          "session \(down.text): not connected to the MQTT broker"
        } else if hasBeenComplete {
          nil
        } else {
          "not every uplink session has its reader yet"
        }
    }
  }
}

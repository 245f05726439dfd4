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
  nonisolated let loop: EventLoop
  let leases: UplinkLeases
  let answers: AnswerFilterTable
  let settings: MqttSettings
  let handler: UplinkHandler
  private let metrics: BridgeMetrics
  let logger: Logger
  /// Whether this replica reaches the broker.
  private let isConnected: @Sendable () -> Bool
  let look: Wakeup
  /// When to look again.
  private var pause = Duration.zero
  // For the extension that makes and ends the connections.
  var held: [UplinkSessionName: HeldSession] = [:]
  var lives = 0
  /// Where devices with protocols of their own answer, as the table last had it.
  var answerFilters: [String] = []
  private var lastConnected = ContinuousClock.now - .seconds(3600)
  /// Whether every class has had its reader once: from then on only our own sessions count for readiness.
  private var hasBeenComplete = false
  private nonisolated let unready = Mutex<String?>("the leases have not been looked at yet")
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  /// How often leases are renewed.
  static let interval = Duration.seconds(1)
  /// A replica without the broker for so long gives its sessions to one that has it.
  private static let patience = Duration.seconds(3)
  /// How long what is in hand may take when a session is handed over.
  static let finishing = Duration.milliseconds(1200)

  init(
    loop: EventLoop, leases: UplinkLeases, answers: AnswerFilterTable, settings: MqttSettings,
    handler: UplinkHandler,
    metrics: BridgeMetrics, logger: Logger, isConnected: @escaping @Sendable () -> Bool
  ) {
    self.loop = loop
    look = Wakeup(loop)
    self.answers = answers
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
    answerFilters = try await answers.all()
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
    try await followAnswerFilters()
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

  func noteUp(_ name: UplinkSessionName, _ isUp: Bool) {
    held[name]?.isUp = isUp
    if case .uplink(let known) = name { metrics.note(known, isRead: isUp) }
  }

  func noteReadiness() {
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

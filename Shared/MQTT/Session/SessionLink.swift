import Loop
import Observability
import Synchronization

/// The link of a session that publishes and receives.
final class SessionLink: Link {
  /// A message that waits for its turn.
  private enum Waiting {
    case awaited(PublishBatch, Int)
    case detached(MQTTMessage)
  }

  /// More detached messages than this do not wait: a device that publishes into a stuck connection must not grow
  /// without bounds.
  static let detachedLimit = 10_000
  /// At most this many unacknowledged at once, even if the broker allows more: libmosquitto walks its list of them
  /// for every message. On a network with 10 ms it is still 25,000 messages a second.
  private static let widestWindow = 256

  private let onMessage: (MQTTMessage) -> Void
  private var window = SessionLink.widestWindow
  private var waiting = Queue<Waiting>()
  /// Given to the library, and not done.
  private var unacknowledged = 0
  /// Those of them that somebody waits for, by packet id.
  private var awaited: [Int: (batch: PublishBatch, index: Int)] = [:]
  private var requests: [Int: Request] = [:]
  private var leaving: [Answer<Void>] = []
  /// To disconnect when all is acknowledged.
  private var farewell: (endSession: Bool, limit: LoopTimer)?

  init(
    configuration: MQTTConfiguration, loop: EventLoop, subscriptions: [MQTTSubscription], logger: Logger,
    standing: Standing, onMessage: @escaping (MQTTMessage) -> Void,
    onState: @escaping (MQTTSessionState) -> Void
  ) {
    self.onMessage = onMessage
    super.init(
      configuration: configuration, loop: loop, subscriptions: subscriptions, logger: logger,
      standing: standing,
      onState: onState)
  }

  /// Whether anything new may be asked of it.
  private var isOpen: Bool { phase == .connected && farewell == nil }

  // MARK: Publishing

  func publish(_ batch: PublishBatch) {
    for (index, message) in batch.messages.enumerated() {
      if let fault = message.fault { batch.complete(index, .failure(fault)) }
    }
    guard isOpen else { return batch.fail(.notConnected) }
    for index in batch.messages.indices { waiting.append(.awaited(batch, index)) }
    fill()
    needsWrite()
  }

  /// Counted as waiting already.
  func publishDetached(_ message: MQTTMessage) {
    guard isOpen else { return forgetDetached() }
    waiting.append(.detached(message))
    fill()
    needsWrite()
  }

  private func forgetDetached() { standing.detached.subtract(1, ordering: .relaxed) }

  /// Gives waiting messages to the library, as many as the window has room for.
  override func fill() {
    guard let handle, phase == .connected else { return }
    while unacknowledged < window, let next = waiting.popFirst() {
      switch next {
      case .awaited(let batch, let index):
        if batch.hasOutcome(index) { continue }
        do throws(MQTTError) {
          awaited[try handle.publish(batch.messages[index])] = (batch, index)
          unacknowledged += 1
        } catch { batch.complete(index, .failure(error)) }
      case .detached(let message):
        forgetDetached()
        if (try? handle.publish(message)) != nil { unacknowledged += 1 }
      }
    }
    if let farewell, unacknowledged == 0, waiting.isEmpty { disconnect(endSession: farewell.endSession) }
  }

  override func published(id: Int, reason: MQTTReasonCode) {
    progressed = true
    unacknowledged -= 1
    guard let (batch, index) = awaited.removeValue(forKey: id) else { return }
    let result: MQTTPublishResult =
      reason.isFailure ? .refused(reason) : reason.rawValue == 16 ? .noMatchingSubscribers : .accepted
    batch.complete(index, .success(result))
  }

  // MARK: Subscribing

  /// What waits for the answers to one or more packets.
  final class Request: Answer<Result<Void, MQTTError>> {
    fileprivate var missing = 0
    private var refusal: MQTTReasonCode?

    init() { super.init(cancelled: .failure(.cancelled)) }

    fileprivate func answered(_ reason: MQTTReasonCode?) {
      refusal = reason ?? refusal
      missing -= 1
      if missing == 0 { give(refusal.map { .failure(.refused($0)) } ?? .success(())) }
    }
  }

  func subscribe(_ added: [MQTTSubscription], _ request: Request) {
    // Kept first: they are made on the next connection too, whatever becomes of this one.
    for subscription in added {
      subscriptions.removeAll { $0.filter == subscription.filter }
      subscriptions.append(subscription)
    }
    ask(added, request) { handle, subscription throws(MQTTError) in try handle.subscribe(subscription) }
  }

  func unsubscribe(_ filters: [String], _ request: Request) {
    subscriptions.removeAll { filters.contains($0.filter) }
    ask(filters, request) { handle, filter throws(MQTTError) in try handle.unsubscribe(filter) }
  }

  private func ask<Item>(
    _ items: [Item], _ request: Request, _ send: (Mosquitto, Item) throws(MQTTError) -> Int
  ) {
    guard let handle, isOpen else { return request.give(.failure(.notConnected)) }
    if items.isEmpty { return request.give(.success(())) }
    request.missing = items.count
    for item in items {
      do throws(MQTTError) { requests[try send(handle, item)] = request } catch {
        request.give(.failure(error))
      }
    }
    needsWrite()
  }

  override func answered(id: Int, refusal: MQTTReasonCode?) {
    requests.removeValue(forKey: id)?.answered(refusal)
  }

  // MARK: The connection

  override func accepted(receiveMaximum: Int) { window = min(Self.widestWindow, receiveMaximum) }

  override func received(_ message: MQTTMessage) {
    progressed = true
    // What comes after the disconnect is not acknowledged.
    guard phase == .connected else { return }
    loop.arrived(1)
    onMessage(message)
  }

  override func dropped() -> Bool {
    unacknowledged = 0
    for (batch, index) in awaited.values { batch.complete(index, .failure(.connectionLost)) }
    awaited.removeAll()
    while let next = waiting.popFirst() {
      switch next {
      case .awaited(let batch, let index): batch.complete(index, .failure(.connectionLost))
      case .detached: forgetDetached()
      }
    }
    for request in requests.values { request.give(.failure(.connectionLost)) }
    requests.removeAll()
    return farewell == nil
  }

  /// Disconnects when all is acknowledged, and drops the socket after `timeout`.
  func leave(endSession: Bool, timeout: Duration, _ answer: Answer<Void>) {
    leaving.append(answer)
    guard phase == .connected || phase == .disconnecting else { return end(.requested) }
    if let farewell { loop.cancel(farewell.limit) }
    farewell = (endSession, loop.schedule(after: timeout) { [self] in end(.requested) })
    fill()
    needsWrite()
  }

  override func ended() {
    if let farewell { loop.cancel(farewell.limit) }
    farewell = nil
    for answer in leaving { answer.give(()) }
    leaving.removeAll()
  }
}

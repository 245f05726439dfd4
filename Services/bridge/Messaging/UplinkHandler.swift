import BridgeDomain
import MQTT
import Observability
import Runtime
import Wire

/// Carries what devices send to Kafka, batch by batch; the broker gets its PUBACKs when this returns.
struct UplinkHandler: Sendable {
  let producer: ConfirmedProducer
  let metrics: BridgeMetrics
  let logger: Logger

  /// So many faults of one batch are logged one by one: a device gone mad must not fill the disk.
  private static let loggedPerBatch = 10

  /// Returns when Kafka has confirmed everything.
  /// - Throws: only when the service is ending; the broker then keeps the messages.
  func handle(_ messages: [MQTTMessage]) async throws {
    let start = ContinuousClock.now
    var rejected = 0
    var events: [Event] = []
    events.reserveCapacity(messages.count)
    func setAside(_ message: MQTTMessage, of deviceId: String?, _ reason: String) {
      rejected += 1
      if rejected <= Self.loggedPerBatch {
        logger.warning("set aside on the dead-letter topic", ["topic": message.topic, "reason": reason])
      }
      events.append(
        .deadLetter(
          origin: message.topic, key: deviceId ?? message.topic, reason: reason, payload: message.payload))
    }
    for message in messages {
      let traceparent = message.properties[user: EventHeader.traceparent]
      switch UplinkTranslation(
        topic: message.topic, payload: message.payload, isRetained: message.retain, traceparent: traceparent)
      {
      case .accepted(let kind, let deviceId, let traceparent, let mended, let besides):
        metrics.count(kind)
        if mended != nil { metrics.mended.increment() }
        events.append(
          Event(
            topic: .deviceUplink, key: deviceId, type: kind.rawValue, payload: mended ?? message.payload,
            traceparent: traceparent, time: message.receivedAt))
        if let besides { setAside(message, of: deviceId, besides) }
      case .answer(let answer, let traceparent):
        let uplink = Uplink.answer(answer)
        metrics.count(report: uplink)
        // By topic, since it is not known here whose it is.
        events.append(
          uplink.event(deviceId: answer.topic, traceparent: traceparent, time: message.receivedAt))
      case .observed(let deviceId, let revision, let traceparent):
        let uplink = Uplink.published(revision: revision)
        metrics.count(report: uplink)
        events.append(uplink.event(deviceId: deviceId, traceparent: traceparent, time: message.receivedAt))
      case .ignored: metrics.retained.increment()
      case .rejected(let deviceId, let reason):
        setAside(message, of: deviceId, reason)
        // Any packet of a device proves it there; what the broker had kept does not.
        if let deviceId, !message.retain, DeviceTopic.parse(message.topic)?.1 != .desired {
          events.append(
            Uplink.unreadable.event(deviceId: deviceId, traceparent: nil, time: message.receivedAt))
        }
      }
    }
    if rejected > 0 { metrics.uplinkDeadLetters.increment(by: rejected) }
    if rejected > Self.loggedPerBatch {
      logger.warning(
        "more set aside on the dead-letter topic", ["count": "\(rejected - Self.loggedPerBatch)"])
    }
    try await producer.send(events)
    metrics.confirming.record(ContinuousClock.now - start)
  }
}

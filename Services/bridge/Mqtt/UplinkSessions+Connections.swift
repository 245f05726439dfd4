import BridgeDomain
import Kafka
import Loop
import MQTT

/// The connections of the sessions whose leases are held.
extension UplinkSessions {
  func connect(_ name: UplinkSessionName) {
    guard let lease = held[name]?.lease else { return }
    lives += 1
    let answers = answerFilters
    held[name]?.answerFilters = answers
    let life = lives
    let link = MQTTUplinkSession(
      configuration: settings.uplink(name), loop: loop,
      subscriptions: MqttSettings.subscriptions(name, answers: answers), window: KafkaProducer.window,
      patience: { Patience.after($0.payload) },
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
    case .disconnected(.requested): return noteUp(name, false)
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

  /// Where devices with protocols of their own answer is another matter than when the session was subscribed: it connects anew,
  /// and says which it has once it is up.
  func followAnswerFilters() async throws {
    let name = UplinkSessionName.uplink(.status)
    guard let session = held[name], session.link != nil else { return }
    if session.answerFilters != answerFilters {
      let link = held[name]?.link.take()
      held[name]?.life = 0
      noteUp(name, false)
      await link?.stop(timeout: Self.finishing)
      if held[name]?.lease.isValid == true, held[name]?.link == nil { connect(name) }
    } else if session.isUp, session.notedFilters != answerFilters {
      try await self.answers.areSubscribed(answerFilters)
      held[name]?.notedFilters = session.answerFilters
    }
  }

  /// Ends the connection here and now, without an acknowledgement.
  func cut(_ name: UplinkSessionName) async {
    held[name]?.draining?.cancel()
    guard let link = held[name]?.link.take() else { return }
    held[name]?.life = 0
    noteUp(name, false)
    await link.stop(timeout: .zero)
  }

  /// Nothing is read on a lease that has run out: the database does not answer, or this process was stopped.
  func watchLeases() async {
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
    // The link stays until the row is gone: another connection would make the session anew.
    while !Task.isCancelled {
      do {
        try await leases.remove(name)
        held[name] = nil
        return logger.notice("emptied and ended a session of the former design", ["session": name.text])
      } catch { logger.warning("a session's row could not be removed", ["error": "\(error)"]) }
      try? await loop.sleep(for: .seconds(1))
    }
  }
}

import FoundationEssentials
import Wire

/// What a device does with what it is sent.
extension SimulatedDevice {
  func receivedCommand(_ payload: [UInt8], traceparent: String?) {
    guard let command = ReceivedCommand(payload) else {
      return fleet.log.other("unreadable", idBytes, ["topic": "command"])
    }
    let behaviour = fleet.behaviours.of(id, command.id)
    let reaction = CommandReaction(behaviour, known: commands[command.id])
    if !reaction.isRepeat { commands.set(command.id, reaction.deed.isExecution ? .working : .ignored) }
    fleet.counts.deliveries += 1
    if reaction.isRepeat { fleet.counts.repeats += 1 }
    fleet.log.command("delivery", idBytes, command, isRepeat: reaction.isRepeat)
    if reaction.deed.isExecution {
      fleet.counts.executions += 1
      fleet.log.command("execution", idBytes, command)
    }
    switch reaction.deed {
    case .nothing, .execute:
      later(behaviour == .late) { $0.answer(command, reaction, behaviour, traceparent) }
    case .executeAndVanish:
      commands.set(command.id, .done(failed: false, took: 0))
      vanish()
    case .sendGarbage: publish(.commandStatus, Answers.garbage)
    }
  }

  private func answer(
    _ command: ReceivedCommand, _ reaction: CommandReaction, _ behaviour: Behaviour, _ traceparent: String?
  ) {
    let times = behaviour == .twice ? 2 : 1
    if reaction.acknowledges {
      for _ in 0..<times { publish(.commandStatus, Answers.acknowledged(command), traceparent: traceparent) }
    }
    if let final = reaction.final { return send(final, command, times, traceparent) }
    guard reaction.deed == .execute else { return }
    let work = fleet.settings.work
    if work == .zero { return finish(command, 0, behaviour, times, traceparent) }
    fleet.after(work) { [self] in
      finish(command, Int(work / .milliseconds(1)), behaviour, times, traceparent)
    }
  }

  private func finish(
    _ command: ReceivedCommand, _ took: Int, _ behaviour: Behaviour, _ times: Int, _ traceparent: String?
  ) {
    let final = CommandMemory.State.done(failed: behaviour == .fail, took: took)
    commands.set(command.id, final)
    send(final, command, times, traceparent)
  }

  private func send(
    _ final: CommandMemory.State, _ command: ReceivedCommand, _ times: Int, _ traceparent: String?
  ) {
    guard case .done(let failed, let took) = final else { return }
    let bytes = failed ? Answers.failed(command) : Answers.success(command, took: took)
    for _ in 0..<times { publish(.commandStatus, bytes, traceparent: traceparent) }
    guard fleet.settings.isCareful else { return }
    if unconfirmed.insert(command.id).inserted { awaitReceipt(command, bytes, traceparent) }
  }

  /// Repeats the answer until it is known to be stored.
  private func awaitReceipt(_ command: ReceivedCommand, _ bytes: [UInt8], _ traceparent: String?) {
    fleet.after(fleet.settings.receiptWait) { [self] in
      guard unconfirmed.contains(command.id) else { return }
      publish(.commandStatus, bytes, traceparent: traceparent)
      awaitReceipt(command, bytes, traceparent)
    }
  }

  func receivedReceipt(_ payload: [UInt8]) {
    guard let json = try? JSON(parsing: payload), let text = json["id"]?.string,
      let id = CommandId(text.utf8),
      let status = json["status"]?.string
    else { return fleet.log.other("unreadable", idBytes, ["topic": "command/receipt"]) }
    fleet.log.other("receipt", idBytes, ["id": .string(text), "status": .string(status)])
    if [ReceiptStatus.success, .failed, .unknown].contains(ReceiptStatus(rawValue: status)) {
      unconfirmed.remove(id)
    }
  }

  func receivedDesired(_ payload: [UInt8]) {
    // An empty retained message takes the document away.
    if payload.isEmpty { return fleet.log.other("desiredRemoved", idBytes) }
    guard let document = DesiredDocument(payload) else {
      return fleet.log.other("unreadable", idBytes, ["topic": "desired"])
    }
    let known = revision
    revision = max(known, document.revision)
    fleet.counts.documents += 1
    fleet.log.other(
      "desired", idBytes,
      [
        "revision": .int(document.revision), "slots": .int(Int64(document.slots.count)),
        "repeat": .bool(document.revision == known), "stale": .bool(document.revision < known),
      ])
    // One that is older than what the device has is no news.
    if document.revision < known { return }
    let behaviour = fleet.behaviours.of(id)
    switch behaviour {
    case .never: break
    case .garbage: publish(.reported, Answers.garbage)
    case .offline where document.revision > known: vanish()
    case .obey, .late, .twice, .fail, .offline:
      later(behaviour == .late) { $0.apply(document, isNew: document.revision > known, behaviour) }
    }
  }

  private func apply(_ document: DesiredDocument, isNew: Bool, _ behaviour: Behaviour) {
    let times = behaviour == .twice ? 2 : 1
    guard !document.slots.isEmpty else { return }
    if isNew { for _ in 0..<times { publish(.reported, document.inProgress()) } }
    let final = document.final(fails: behaviour == .fail)
    let work = isNew ? fleet.settings.work : .zero
    if work == .zero {
      for _ in 0..<times { publish(.reported, final) }
    } else {
      fleet.after(work) { [self] in for _ in 0..<times { publish(.reported, final) } }
    }
  }

  private func later(_ isLate: Bool, _ body: @escaping (SimulatedDevice) -> Void) {
    if !isLate { return body(self) }
    fleet.after(fleet.settings.late) { [self] in body(self) }
  }

  static func state(_ battery: Int) -> [UInt8] {
    (["battery": .int(Int64(battery)), "at": .string(Date.now.rfc3339)] as JSON).bytes
  }
}

extension CommandReaction.Deed {
  var isExecution: Bool { self == .execute || self == .executeAndVanish }
}

import CommandsDomain
import FoundationEssentials
import Kafka
import Loop
import Runtime
import Wire

// Following the topics while anybody listens.
extension LiveEvents {
  /// Until the task is cancelled.
  func follow() async {
    while !Task.isCancelled {
      if feeds.isEmpty, waiting.isEmpty { await wanted.wait() }
      guard !Task.isCancelled else { return }
      do { try await followOnce() } catch {
        logger.warning("events cannot be followed now", ["error": "\(error)"])
        try? await loop.sleep(for: .milliseconds(500))
      }
    }
  }

  /// Until nobody listens, or reading has to begin anew.
  private func followOnce() async throws {
    if positions == nil { positions = try await ends() }
    guard let start = positions else { return }
    let reader = try KafkaReader(
      configuration: kafka, loop: loop, topics: Self.topics.map(\.rawValue), from: start.offsets,
      logger: logger)
    await read(reader)
    await reader.close()
  }

  private func read(_ reader: KafkaReader) async {
    if cluster == nil {
      guard let id = await reader.clusterId(timeout: .seconds(4)) else { return }
      cluster = UInt32(truncatingIfNeeded: id.fnv1a())
    }
    for alarm in waiting.values { alarm.signal() }
    var (looked, counted, told) = (ContinuousClock.now, ContinuousClock.now, 0)
    while !Task.isCancelled {
      await reader.arrival(until: .now + .seconds(1))
      var batch = Batch()
      told += reader.take(500) { receive($0, &batch) }
      if batch.isBroken { return await beginAnew() }
      hand(out: batch)
      if told > Self.nudge {
        told = 0
        beatAll()
      }
      guard ContinuousClock.now - looked > .seconds(1) else { continue }
      looked = .now
      if !isWanted() { return }
      guard ContinuousClock.now - counted > .seconds(60) else { continue }
      counted = .now
      if await hasGrown() { return }
    }
  }

  /// After so many records everybody hears where he is: an idle reader's position must not grow old.
  private static let nudge = 50_000

  private struct Batch {
    var touched: Set<UUID> = []
    var isBroken = false
  }

  private func receive(_ record: KafkaRecord, _ batch: inout Batch) {
    let due = positions?[record.topic, record.partition]
    guard !batch.isBroken, due == record.offset else {
      batch.isBroken = true
      return
    }
    positions?.pass(record.topic, record.partition, record.offset)
    guard let value = record.value, let owner = EventOwner.find(in: value), feeds[owner] != nil else {
      return
    }
    let message = record.message
    if let event = LiveEvent(message, topic: record.topic) {
      feeds[owner]?.live.append(event)
      batch.touched.insert(owner)
    } else {
      revoke(message, of: owner)
    }
  }

  private func hand(out batch: Batch) {
    for owner in batch.touched {
      guard let feed = feeds[owner] else { continue }
      for id in feed.readers {
        guard let member = members[id], member.end == nil else { continue }
        if member.reader.isBehind(feed.live) { end(id, .behind) } else { member.alarm.signal() }
      }
    }
  }

  private func beatAll() {
    for id in Array(members.keys) {
      members[id]?.mustBeat = true
      members[id]?.alarm.signal()
    }
  }

  /// The registry has taken a key, or everything, from an organisation that listens.
  private func revoke(_ message: KafkaMessage, of owner: UUID) {
    switch message.header(EventHeader.type) {
    case "martlet.registry.apiKey.deleted":
      guard let json = try? JSON(parsing: message.value ?? []), let text = json["id"]?.string,
        let key = UUID(text: text)
      else { return }
      for id in feeds[owner]?.readers ?? [] where members[id]?.key == key { end(id, .revoked) }
    case "martlet.registry.organisation.deleted":
      for id in feeds[owner]?.readers ?? [] { end(id, .revoked) }
    default: break
    }
  }

  /// The log does not go on where it ended: what was in between is lost to all who listen.
  private func beginAnew() async {
    logger.warning("the topics of events do not go on where they were; all readers are told to read afresh")
    while !Task.isCancelled {
      do {
        let now = try await ends()
        positions = now
        for owner in Array(feeds.keys) {
          feeds[owner]?.live = LiveFeed(from: now)
          feeds[owner]?.isPrimed = false
        }
        for id in Array(members.keys) { lose(id) }
        return
      } catch {
        logger.warning("the ends of the topics cannot be read now", ["error": "\(error)"])
        try? await loop.sleep(for: .milliseconds(500))
      }
    }
  }

  /// Tells a reader that it has missed what cannot be made up.
  func lose(_ id: Int) {
    guard let now = positions, let owner = members[id]?.organisation, let feed = feeds[owner] else { return }
    metrics.resets.increment()
    members[id]?.reader.lost(at: now, feed.live)
    members[id]?.alarm.signal()
  }

  /// Forgets feeds that nobody has read for a while.
  /// - Returns: whether any is left.
  private func isWanted() -> Bool {
    let now = ContinuousClock.now
    feeds = feeds.filter { feed in
      feed.value.idleSince.map { now - $0 < limits.idle } ?? true
    }
    if feeds.isEmpty, waiting.isEmpty { positions = nil }
    return positions != nil
  }

  /// Takes over partitions that have been added.
  private func hasGrown() async -> Bool {
    guard let ends = try? await ends(), let now = positions, ends.hasMorePartitions(than: now) else {
      return false
    }
    positions?.advance(to: EventPosition(ends.offsets.map { $0.map { _ in 0 } }))
    for owner in Array(feeds.keys) { positions.map { feeds[owner]?.live.extend(to: $0) } }
    return true
  }
}

extension LiveEvent {
  /// Nil for what is not told live.
  convenience init?(_ message: KafkaMessage, topic: Int) {
    guard let type = message.header(EventHeader.type), let data = message.value,
      LiveEvents.topics[topic] != .registryEvents || type == LiveFilter.presence
    else { return nil }
    self.init(
      topic: topic, partition: Int(message.partition), offset: message.offset,
      deviceId: message.keyText,
      Attributes(
        id: message.header(EventHeader.id) ?? "", source: message.header(EventHeader.source) ?? "",
        type: type,
        time: message.header(EventHeader.time) ?? message.eventTime.rfc3339,
        traceparent: message.header(EventHeader.traceparent)), data: data)
  }
}

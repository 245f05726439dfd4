import CommandsDomain
import Directory
import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// What the commands service hears from the uplink topic.
enum DeviceReport: Sendable {
  /// Something happened to a command; an answer of the device is confirmed with a receipt.
  case command(UUID, CommandOccurrence, answered: DeviceStatus?)
  /// What has become of a command that config carries out: nobody was heard from, and nobody waits for a receipt.
  case followed(UUID, CommandOccurrence)
  /// The device is there; after a reconnect it may have lost what it had not answered.
  /// - Parameter isInOrder: whether it came in the session that brings presence, so that which was first is known.
  case heard(reconnected: Bool, at: Date = .now, isInOrder: Bool = false)
  /// What the broker had kept of its presence: it has once come back, and may have lost what it had not answered.
  case retained(at: Date = .now)
  /// The device's will: it is not connected any more.
  case gone(at: Date = .now)
  /// The broker is there again and may have lost all that was not answered.
  /// - Parameter offset: of the announcement: the connection's epoch.
  case brokerConnected(offset: Int64)

  /// What it says of its device being there.
  var presence: PresenceWord? {
    switch self {
    case .heard(reconnected: true, let at, _): .said(online: true, at: at)
    case .heard(reconnected: false, let at, let isInOrder): .heard(at: at, isInOrder: isInOrder)
    case .gone(let at): .said(online: false, at: at)
    case .retained(let at): .retained(at: at)
    case .command, .followed, .brokerConnected: nil
    }
  }
}

/// Turns records of the uplink topic into reports.
struct UplinkInbox: Sendable {
  let service: CommandsService

  /// For `BatchConsumer`: one batch, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var reports: [(deviceId: String, report: DeviceReport)] = []
    reports.reserveCapacity(messages.count * 2)
    var answers = try await OwnAnswers(messages, service, connection)
    for message in messages {
      // A kind that a newer bridge sends and this service does not know is none of its business.
      guard let kind = message.uplinkKind else { continue }
      let deviceId = message.keyText
      do {
        if kind == .answer {
          let (said, fault) = try answers.reports(message)
          reports += said
          if let fault { result.reject(message, fault) }
          continue
        }
        let said =
          kind == .series
          ? try UplinkSeries.items(message.value ?? [])
          : [UplinkSeries.Item(kind: kind, time: message.eventTime, payload: message.value ?? [])]
        var fault: (any Error)?
        for item in said {
          do { try hear(item, of: deviceId, offset: message.offset, &reports) } catch { fault = error }
        }
        if let fault { throw fault }
      } catch { result.reject(message, error) }
    }
    let afterLoss = reports.contains { if case .brokerConnected = $0.report { true } else { false } }
    let turns = try await service.apply(reports, on: connection)
    try await connection.afterCommit { [service] in
      service.turns.raise(turns.value)
      if afterLoss { service.turns.raise(afterLoss: true) }
    }
    return result
  }

  /// Adds what one says of its command, and of its device being there.
  private func hear(
    _ item: UplinkSeries.Item, of deviceId: String, offset: Int64,
    _ reports: inout [(deviceId: String, report: DeviceReport)]
  ) throws {
    if let report = try report(item, offset: offset) { reports.append((deviceId, report)) }
    if item.kind.isFromDevice, item.kind != .presence {
      let heard = DeviceReport.heard(reconnected: false, at: item.time, isInOrder: item.kind == .state)
      reports.append((deviceId, heard))
    }
  }

  private func report(_ item: UplinkSeries.Item, offset: Int64) throws -> DeviceReport? {
    switch item.kind {
    case .reported, .artefactRequest, .state, .published, .answer, .unreadable, .series: return nil
    case .status, .presence, .retainedPresence, .sent, .undelivered, .brokerConnected, .followed: break
    }
    let at = item.time
    switch try Uplink(item.kind, payload: item.payload) {
    case .status(let answer):
      return .command(answer.id, CommandOccurrence(answer, at: at), answered: answer.status)
    case .sent(let id, let bridge):
      return .command(id, CommandOccurrence(.sent, at: at, replica: bridge), answered: nil)
    case .followed(let answer): return .followed(answer.id, CommandOccurrence(answer, at: at))
    case .undelivered(let id, let reason, let bridge):
      let occurrence = CommandOccurrence(.undelivered, at: at, detail: reason.rawValue, replica: bridge)
      return .command(id, occurrence, answered: nil)
    case .presence(let online):
      return online ? .heard(reconnected: true, at: at, isInOrder: true) : .gone(at: at)
    // One that was retained may be all that is left of a coming that no bridge saw: to send again is safe.
    case .retainedPresence(let online): return online ? .retained(at: at) : nil
    case .brokerConnected: return .brokerConnected(offset: offset)
    case .reported, .artefactRequest, .state, .published, .answer, .unreadable: return nil
    }
  }
}

/// The answers of a batch that came on topics of devices' own, and the commands that they may belong to.
struct OwnAnswers {
  private let service: CommandsService
  private var queues: [ExactText: AnswerQueue]

  init(_ messages: [KafkaMessage], _ service: CommandsService, _ connection: PostgresConnection) async throws
  {
    self.service = service
    var topics: Set<ExactText> = []
    for message in messages where message.uplinkKind == .answer {
      if let answer = try? Self.read(message) { topics.insert(ExactText(answer.topic)) }
    }
    queues = try await service.answerQueues(topics, on: connection)
  }

  private static func read(_ message: KafkaMessage) throws -> OwnAnswer? {
    guard case .answer(let answer) = try Uplink(.answer, payload: message.value ?? []) else { return nil }
    return answer
  }

  /// What one of them says. Where it answers nothing that is open, what comes twice or too late is counted; whoever it is from was
  /// heard all the same, if that is certain.
  /// - Returns: also why it is set aside, if it is.
  /// - Throws: what is wrong with the record.
  mutating func reports(_ message: KafkaMessage) throws -> (
    said: [(deviceId: String, report: DeviceReport)], fault: AnswerQueue.Refusal?
  ) {
    guard let answer = try Self.read(message) else { return ([], nil) }
    let (at, topic) = (message.eventTime, ExactText(answer.topic))
    do throws(AnswerQueue.Refusal) {
      let taken = try queues[topic, default: AnswerQueue([])].take(answer.text, at: at)
      // Not confirmed: such a device knows no receipts.
      let report = DeviceReport.command(
        taken.of.id, CommandOccurrence(taken.answer, at: at), answered: nil)
      return ([(taken.of.deviceId, report), (taken.of.deviceId, .heard(reconnected: false, at: at))], nil)
    } catch {
      let heard = queues[topic]?.onlyDevice.map { ($0, DeviceReport.heard(reconnected: false, at: at)) }
      if error == .nothingOpen { service.unknown.increment() }
      return (heard.map { [$0] } ?? [], error == .nothingOpen ? nil : error)
    }
  }
}

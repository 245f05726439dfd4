import CommandsDomain
import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// What the commands service hears from the uplink topic.
enum DeviceReport: Sendable {
  /// Something happened to a command; an answer of the device is confirmed with a receipt.
  case command(UUID, CommandOccurrence, answered: DeviceStatus?)
  /// The device is there; after a reconnect it may have lost what it had not answered.
  case heard(reconnected: Bool)
  /// The broker is there again and may have lost all that was not answered.
  /// - Parameter offset: of the announcement: the connection's epoch.
  case brokerConnected(offset: Int64)
}

/// Turns records of the uplink topic into reports.
struct UplinkInbox: Sendable {
  let service: CommandsService
  let dispatcher: TurnDispatcher

  /// For `BatchConsumer`: one batch, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var reports: [(deviceId: String, report: DeviceReport)] = []
    reports.reserveCapacity(messages.count * 2)
    for message in messages {
      // A kind that a newer bridge sends and this service does not know is none of its business.
      guard let kind = message.header(EventHeader.type).flatMap(Uplink.Kind.init(rawValue:)) else { continue }
      let deviceId = String(decoding: message.key ?? [], as: UTF8.self)
      do {
        if let report = try report(kind, message) { reports.append((deviceId, report)) }
        if kind.isFromDevice, kind != .presence { reports.append((deviceId, .heard(reconnected: false))) }
      } catch { result.reject(message, error) }
    }
    let afterLoss = reports.contains { if case .brokerConnected = $0.report { true } else { false } }
    if try await service.apply(reports, on: connection) {
      try await connection.afterCommit { [dispatcher] in dispatcher.wake(afterLoss: afterLoss) }
    }
    return result
  }

  private func report(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> DeviceReport? {
    switch kind {
    case .reported, .state, .published: return nil
    case .status, .presence, .sent, .undelivered, .brokerConnected: break
    }
    let at = message.eventTime
    switch try Uplink(kind, payload: message.value ?? []) {
    case .status(let answer):
      return .command(answer.id, CommandOccurrence(answer, at: at), answered: answer.status)
    case .sent(let id): return .command(id, CommandOccurrence(.sent, at: at), answered: nil)
    case .undelivered(let id, let reason):
      return .command(id, CommandOccurrence(.undelivered, at: at, detail: reason.rawValue), answered: nil)
    case .presence(let online): return online ? .heard(reconnected: true) : nil
    case .brokerConnected: return .brokerConnected(offset: message.offset)
    case .reported, .state, .published: return nil
    }
  }
}

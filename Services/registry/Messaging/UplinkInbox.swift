import FoundationEssentials
import Kafka
import Postgres
import RegistryDomain
import Runtime
import Wire

/// What the registry hears from the uplink topic: bytes to values.
struct UplinkInbox: Sendable {
  let registry: RegistryService

  /// For `BatchConsumer`: one batch, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var heard: [Heard] = []
    heard.reserveCapacity(messages.count)
    for message in messages {
      // What is not from a device, or of a kind that only a newer bridge knows, is none of our business.
      guard let kind = message.header(EventHeader.type).flatMap(Uplink.Kind.init(rawValue:)),
        kind.isFromDevice
      else { continue }
      do { heard.append(try Self.read(kind, message)) } catch { result.reject(message, error) }
    }
    try await registry.apply(StateChange.fold(heard), on: connection)
    return result
  }

  private static func read(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> Heard {
    Heard(
      deviceId: String(decoding: message.key ?? [], as: UTF8.self),
      at: message.header(EventHeader.time).flatMap { Date(rfc3339: $0) }
        ?? Date(timeIntervalSince1970: Double(message.timestamp) / 1000),
      what: try what(kind, message))
  }

  private static func what(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> Heard.What {
    switch kind {
    // That it came is enough: these are the many, and what they say is for others.
    case .status, .reported, .sent, .undelivered, .published, .brokerConnected: return .packet
    case .state, .presence: break
    }
    switch try Uplink(kind, payload: message.value ?? []) {
    case .state(let state): return .state(state, route: try state.route.map(Route.read))
    case .presence(let online): return .presence(online: online)
    default: return .packet
    }
  }
}

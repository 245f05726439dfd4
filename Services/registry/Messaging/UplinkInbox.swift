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
    var observations: [DeviceObservation] = []
    observations.reserveCapacity(messages.count)
    for message in messages {
      // What is not from a device, or of a kind that only a newer bridge knows, is none of our business.
      guard let kind = message.uplinkKind,
        kind.isFromDevice || kind == .retainedPresence
      else { continue }
      do { observations.append(try Self.read(kind, message)) } catch { result.reject(message, error) }
    }
    try await registry.apply(StateChange.fold(observations), on: connection)
    return result
  }

  private static func read(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> DeviceObservation {
    DeviceObservation(
      deviceId: message.keyText, at: message.eventTime,
      fact: try fact(kind, message))
  }

  private static func fact(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> DeviceObservation.Fact {
    switch kind {
    // That it came is enough: these are the many, and what they say is for others.
    case .status, .reported, .artefactRequest, .sent, .undelivered, .published, .brokerConnected, .answer,
      .followed, .unreadable, .series:
      return .packet
    case .state, .presence, .retainedPresence: break
    }
    switch try Uplink(kind, payload: message.value ?? []) {
    case .state(let state): return .state(state, route: try state.route.map(Route.read))
    case .presence(let online): return .presence(online: online)
    case .retainedPresence(let online): return .retainedPresence(online: online)
    default: return .packet
    }
  }
}

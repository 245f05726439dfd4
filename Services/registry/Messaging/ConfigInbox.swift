import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// What the registry hears from the public events of the config service: what of it is used there.
struct ConfigInbox: Sendable {
  static let consumer = "config-users"

  /// For `BatchConsumer`: one batch, inside its transaction.
  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var changes: [(user: ConfigUser, isEnd: Bool)] = []
    for message in messages {
      guard let kind = message.header(EventHeader.type).flatMap(Self.change) else { continue }
      do {
        changes.append((try Self.user(kind.of, try JSON(parsing: message.value ?? [])), kind.isEnd))
      } catch { result.reject(message, error) }
    }
    if !changes.isEmpty { try await ConfigUserTable(database: connection).apply(changes) }
    return result
  }

  /// The others are of devices, and of no interest here: many.
  private static func change(_ type: String) -> (of: ConfigUser.Kind, isEnd: Bool)? {
    switch type {
    case "martlet.config.artefactCreated": (.artefact, false)
    case "martlet.config.artefactDeleted": (.artefact, true)
    case "martlet.config.bindingCreated": (.binding, false)
    case "martlet.config.bindingRemoved": (.binding, true)
    default: nil
    }
  }

  private static func user(_ kind: ConfigUser.Kind, _ event: JSON) throws -> ConfigUser {
    let (id, used) =
      switch kind {
      case .artefact: (event["artefactId"], event["profile"]?["id"])
      case .binding: (event["bindingId"], event["target"]?["id"])
      }
    guard let id = uuid(id), let used = uuid(used), let organisation = uuid(event["organisationId"]) else {
      throw JSONFaults([JSONFault(pointer: "", message: "does not say what uses what")])
    }
    return ConfigUser(kind: kind, id: id, organisationId: organisation, used: used)
  }

  private static func uuid(_ json: JSON?) -> UUID? { json?.string.flatMap { UUID(text: $0) } }
}

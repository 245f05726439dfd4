import Directory
import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// Reads `martlet.device.uplink`: reports, requests, the broker's confirmations of documents, and who is there. Everything else there
/// passes by unread, thousands a second of it: that it came from a device is all that counts.
struct UplinkInbox: Sendable {
  let service: ConfigService

  /// How it is consumed. A busy topic gathers, so that what is passed over costs few fetches and transactions: by
  /// itself, at 600 records a second, each fetch costs 0.1 ms here and more at the broker; at rest it is most of what config does.
  static var configuration: BatchConsumer.Configuration {
    var configuration = BatchConsumer.Configuration(name: "uplink", topic: .deviceUplink)
    configuration.maximumBatch = 2000
    configuration.gathering = .milliseconds(100)
    return configuration
  }

  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var news: [DeviceObservation] = []
    var requests: [ArtefactRequest] = []
    var words: [(deviceId: String, word: PresenceWord)] = []
    var came: Set<String> = []
    var brokerCame: Date?
    for message in messages {
      guard let kind = message.uplinkKind else { continue }
      do {
        switch kind {
        case .reported, .published: if let item = try Self.news(kind, message) { news.append(item) }
        case .presence, .retainedPresence:
          if let word = try Self.word(kind, message) {
            words.append((message.keyText, word))
            if case .said(online: true, _) = word { came.insert(message.keyText) }
          }
        case .artefactRequest: if let request = try Self.request(message) { requests.append(request) }
        case .brokerConnected: brokerCame = max(message.eventTime, brokerCame ?? .distantPast)
        case .status, .state, .sent, .undelivered, .answer, .followed, .unreadable, .series: break
        }
        if kind.isFromDevice, kind != .presence {
          let word = PresenceWord.heard(at: message.eventTime, isInOrder: kind == .state)
          words.append((message.keyText, word))
        }
      } catch { result.reject(message, error) }
    }
    try await service.heard(words, connection)
    try await service.record(news, heard: Set(words.map(\.deviceId)), came: came, connection)
    if !requests.isEmpty { try await service.answer(requests, connection) }
    if let brokerCame { try await service.brokerCame(at: brokerCame, connection) }
    return result
  }

  private static func request(_ message: KafkaMessage) throws -> ArtefactRequest? {
    guard case .artefactRequest(let sha256) = try Uplink(.artefactRequest, payload: message.value ?? [])
    else {
      return nil
    }
    return ArtefactRequest(
      question: .init(deviceId: message.keyText, sha256: sha256),
      traceparent: message.header(EventHeader.traceparent))
  }

  /// What the broker had retained may be old: that a device is there may be all that is left of its coming, that it is gone
  /// proves nothing new.
  private static func word(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> PresenceWord? {
    switch try Uplink(kind, payload: message.value ?? []) {
    case .presence(let online): .said(online: online, at: message.eventTime)
    case .retainedPresence(let online): online ? .retained(at: message.eventTime) : nil
    default: nil
    }
  }

  private static func news(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> DeviceObservation? {
    let observed: DeviceObservation.Kind
    switch try Uplink(kind, payload: message.value ?? []) {
    case .published(let revision): observed = .published(revision: revision)
    case .reported(let slots): observed = .reported(slots)
    default: return nil
    }
    return DeviceObservation(
      deviceId: message.keyText, at: message.eventTime,
      traceparent: message.header(EventHeader.traceparent), kind: observed)
  }
}

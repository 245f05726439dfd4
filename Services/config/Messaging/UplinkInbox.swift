import FoundationEssentials
import Kafka
import Postgres
import Runtime
import Wire

/// Reads `martlet.device.uplink`: reports, and the broker's confirmations of documents. Everything else there passes
/// by unread, thousands a second of it: the type header is all that is looked at.
struct UplinkInbox: Sendable {
  let service: ConfigService

  /// How it is consumed. A busy topic gathers, so that what is passed over costs few fetches and transactions: by
  /// itself, at 600 records a second, each fetch costs 0.1 ms here and more at the broker.
  static var configuration: BatchConsumer.Configuration {
    var configuration = BatchConsumer.Configuration(name: "uplink", topic: .deviceUplink)
    configuration.maximumBatch = 2000
    configuration.gathering = .milliseconds(50)
    return configuration
  }

  func apply(_ messages: [KafkaMessage], _ connection: PostgresConnection) async throws -> BatchResult {
    var result = BatchResult()
    var news: [DeviceNews] = []
    var brokerIsNew = false
    for message in messages {
      guard let kind = message.header(EventHeader.type).flatMap(Uplink.Kind.init(rawValue:)) else { continue }
      switch kind {
      case .reported, .published:
        do { if let item = try Self.news(kind, message) { news.append(item) } } catch {
          result.reject(message, error)
        }
      case .brokerConnected: brokerIsNew = true
      case .status, .state, .presence, .sent, .undelivered: break
      }
    }
    if !news.isEmpty { try await service.record(news, connection) }
    if brokerIsNew { try await service.brokerMayHaveForgotten(connection) }
    return result
  }

  private static func news(_ kind: Uplink.Kind, _ message: KafkaMessage) throws -> DeviceNews? {
    let what: DeviceNews.What
    switch try Uplink(kind, payload: message.value ?? []) {
    case .published(let revision): what = .published(revision: revision)
    case .reported(let slots): what = .reported(slots)
    default: return nil
    }
    return DeviceNews(
      deviceId: String(decoding: message.key ?? [], as: UTF8.self), at: message.eventTime,
      traceparent: message.header(EventHeader.traceparent), what: what)
  }
}

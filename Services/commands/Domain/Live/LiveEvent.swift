import FoundationEssentials
import Wire

/// One event as readers get it, with where it stands in Kafka.
public final class LiveEvent: Sendable {
  /// The place of its topic among those of live events.
  public let topic: Int
  public let partition: Int
  public let offset: Int64
  /// The CloudEvents type.
  public let type: String
  public let deviceId: String
  /// The same for each time that it was published.
  public let key: UInt64
  /// `event:` and `data:`, with the empty line that ends it; the id goes before.
  public let lines: [UInt8]

  /// What CloudEvents' binary mode says of an event beside its data.
  public struct Attributes: Sendable {
    public let id: String
    public let source: String
    public let type: String
    public let time: String
    public let traceparent: String?

    public init(id: String, source: String, type: String, time: String, traceparent: String?) {
      (self.id, self.source, self.type, self.time) = (id, source, type, time)
      self.traceparent = traceparent
    }
  }

  /// - Parameter data: JSON.
  public init(
    topic: Int, partition: Int, offset: Int64, deviceId: String, _ attributes: Attributes, data: [UInt8]
  ) {
    (self.topic, self.partition, self.offset) = (topic, partition, offset)
    (self.deviceId, type) = (deviceId, attributes.type)
    key = attributes.id.fnv1a(basis: attributes.source.fnv1a())
    lines = Self.lines(attributes, data)
  }

  /// Structured CloudEvents JSON on one line.
  private static func lines(_ attributes: Attributes, _ data: [UInt8]) -> [UInt8] {
    var head: JSONObject = [
      "specversion": "1.0", "id": .string(attributes.id), "source": .string(attributes.source),
      "type": .string(attributes.type), "time": .string(attributes.time),
      "datacontenttype": "application/json",
    ]
    if let traceparent = attributes.traceparent { head["traceparent"] = .string(traceparent) }
    var lines: [UInt8] = []
    lines.reserveCapacity(data.count + 400)
    lines.append(contentsOf: "event: \(attributes.type)\ndata: ".utf8)
    lines.append(contentsOf: JSON.object(head).bytes.dropLast())
    lines.append(contentsOf: ",\"data\":".utf8)
    if data.contains(0x0A) || data.contains(0x0D) {
      // White space between two tokens: within strings it is escaped.
      lines.append(contentsOf: data.lazy.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 })
    } else {
      lines.append(contentsOf: data)
    }
    lines.append(contentsOf: "}\n\n".utf8)
    return lines
  }
}

/// Which events a reader wants.
public struct LiveFilter: Sendable, Equatable {
  /// A CloudEvents type, or all that begin with some words.
  public enum Kind: Sendable, Equatable {
    case type(String)
    case family(String)

    /// `martlet.command.created`, or `martlet.command.*`; nil for what no event can be.
    public init?(_ text: String) {
      let isFamily = text.hasSuffix(".*")
      let words = isFamily ? String(text.dropLast()) : text
      let isKnown = ["martlet.command.", "martlet.campaign.", "martlet.config.", LiveFilter.presence].contains
      {
        words.hasPrefix($0)
      }
      guard isKnown, words.utf8.count <= 128,
        words.utf8.allSatisfy({
          $0 == 0x2E || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
        })
      else { return nil }
      self = isFamily ? .family(words) : .type(words)
    }

    func takes(_ type: String) -> Bool {
      switch self {
      case .type(let own): own == type
      case .family(let words): type.hasPrefix(words)
      }
    }
  }

  /// The one type of the registry's events that is told live.
  public static let presence = "martlet.registry.device.presence"

  /// Nil: of all devices.
  public let devices: Set<String>?
  /// Nil: of all types.
  public let kinds: [Kind]?

  public init(devices: Set<String>? = nil, kinds: [Kind]? = nil) {
    (self.devices, self.kinds) = (devices, kinds)
  }

  /// Whether the reader wants it.
  public func takes(_ event: LiveEvent) -> Bool {
    if let devices, !devices.contains(event.deviceId) { return false }
    return kinds?.contains { $0.takes(event.type) } ?? true
  }
}

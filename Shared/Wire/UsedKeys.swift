import FoundationEssentials

/// When API keys were last used, as a service tells the registry: the values on `martlet.registry.key-uses`.
public struct UsedKeys: Sendable, Equatable {
  /// By the keys' ids.
  public let times: [UUID: Date]

  public init(_ times: [UUID: Date]) { self.times = times }

  /// The CloudEvents type.
  public static let type = "martlet.apiKey.used"
  /// Of keys in one record.
  private static let most = 1000

  /// The records for the topic.
  /// - Parameter service: who tells; what it tells stays in order.
  public func events(by service: String) -> [Event] {
    let all = Array(times)
    return stride(from: 0, to: all.count, by: Self.most).map { start in
      let keys = all[start..<min(start + Self.most, all.count)].map { id, time in
        JSON.object(["id": .string(id.text), "at": .string(time.rfc3339)])
      }
      return Event(
        topic: .keyUses, key: service, type: Self.type, json: ["keys": .array(keys)], traceparent: nil)
    }
  }

  /// Reads a record.
  /// - Throws: what is wrong with it.
  public init(payload: [UInt8]) throws {
    var fields = JSONFields(try JSON(parsing: payload))
    var times: [UUID: Date] = [:]
    for (index, key) in fields.required("keys", JSONShape.any.array(0...Self.most)).enumerated() {
      var key = JSONFields(key, at: "/keys/\(index)")
      times[key.required("id", .uuid)] = key.required("at", .time)
      if !key.faults.isEmpty { throw JSONFaults(key.faults) }
    }
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
    self.times = times
  }
}

import FoundationEssentials
import Wire

/// The way that a device's last packet came.
public enum Route {
  /// The interfaces there are (SPEC, section 2).
  enum Interface: String, Sendable, CaseIterable {
    case udp
    case btAdv = "bt_adv"
    case btPeripheral = "bt_peripheral"
    case btCentral = "bt_central"
    case serial, hci, mqtt, unknown
  }

  /// The route of a device that is itself connected to the broker.
  static func mqtt(broker: String, at time: Date) -> JSON {
    [
      "interface": "mqtt", "interfaceData": [:],
      "mqtt": ["broker": .string(broker), "time": .string(time.rfc3339)],
    ]
  }

  /// Reads the route that a gateway gives for a device behind it.
  /// - Throws: what is wrong with it.
  public static func read(_ json: JSON) throws(JSONFaults) -> JSON {
    var fields = JSONFields(json, at: "/route")
    let interface = fields.required("interface", .word(Interface.unknown))
    let data = fields.optional("interfaceData", .object) ?? JSONObject()
    let ways: [(String, JSON?)] = [
      ("udp", fields.optional("udp", udp)), ("btAdv", fields.optional("btAdv", bluetooth)),
      ("btPeripheral", fields.optional("btPeripheral", bluetooth)),
      ("btCentral", fields.optional("btCentral", bluetooth)),
      ("forwarded", fields.optional("forwarded", .any)),
      ("mqtt", fields.optional("mqtt", mqtt)),
    ]
    try fields.finish()
    var route: JSONObject = ["interface": .string(interface.rawValue), "interfaceData": .object(data)]
    for (name, value) in ways { route[name] = value }
    return .object(route)
  }

  private static let udp = JSONShape<JSON>.fields(.null) { way in
    ["address": .string(way.required("address", .string(1...200))), "time": way.requiredTime()]
  }
  private static let mqtt = JSONShape<JSON>.fields(.null) { way in
    ["broker": .string(way.required("broker", .string(1...200))), "time": way.requiredTime()]
  }
  private static let bluetooth = JSONShape<JSON>.fields(.null) { way in
    .compact([
      "address": .string(way.required("address", .string(1...200))), "type": way.required("type", .any),
      "rssi": way.optional("rssi", .int(-1000...1000)).map { .int(Int64($0)) },
    ])
  }
}

extension JSONFields {
  fileprivate mutating func requiredTime() -> JSON { .string(required("time", .time).rfc3339) }
}

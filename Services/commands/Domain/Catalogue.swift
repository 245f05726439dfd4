import Wire

/// The commands that a device takes: the built-in ones, and those of its board's catalogue.
public struct Catalogue: Sendable {
  /// What the catalogue says of one command.
  public struct Entry: Sendable, Equatable {
    public let type: String
    public let timeouts: Timeouts
    /// The JSON Schema of its params; nil where any object will do.
    public let paramsSchema: JSON?
    /// How it is sent to a device with a protocol of its own; nil for the native one.
    public var own: OwnProtocol? = nil
  }

  /// Built-in types (SPEC, section 4): their timeouts, and the params that have a meaning. Where the device itself obeys, none
  /// has to be there, and it may know more of them: what they do with one is the firmware's. What config does is exact.
  private static let builtIn =
    bindings + [
      Entry(
        type: "REBOOT", timeouts: .standard,
        paramsSchema: ["type": "object", "properties": ["delaySeconds": ["type": "number", "minimum": 0]]]),
      Entry(
        type: "UPDATE_CONFIG", timeouts: .standard,
        paramsSchema: [
          "type": "object",
          "properties": [
            "slot": slot, "version": ["type": ["string", "integer"]], "sha256": sha256,
            "config": ["type": "object"],
          ],
        ]),
      Entry(
        type: "UPDATE_FIRMWARE", timeouts: Timeouts(deliver: 30, acknowledge: 30, complete: 1800),
        paramsSchema: [
          "type": "object",
          "properties": [
            "url": ["type": "string", "minLength": 1, "maxLength": 2048],
            "version": ["type": ["string", "integer", "object"]], "sha256": sha256,
            "size": ["type": "integer", "minimum": 1],
          ],
        ]),
    ]
  private static let bindings = [
    Entry(
      type: BindingRequest.Action.bind.rawValue, timeouts: .standard,
      paramsSchema: [
        "type": "object", "required": ["artefactId"], "additionalProperties": false,
        "properties": [
          "artefactId": [
            "type": "string",
            "pattern": "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
          ],
          "slot": slot, "component": component,
          "priority": ["type": "integer", "minimum": -2_147_483_648, "maximum": 2_147_483_647],
        ],
      ]),
    Entry(
      type: BindingRequest.Action.unbind.rawValue, timeouts: .standard,
      paramsSchema: [
        "type": "object", "required": ["slot"], "additionalProperties": false,
        "properties": ["slot": slot, "component": component],
      ]),
  ]
  private static let slot: JSON = ["type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"]
  private static let component: JSON = ["type": "string", "minLength": 1, "maxLength": 128]
  private static let sha256: JSON = ["type": "string", "pattern": "^[0-9A-Fa-f]{64}$"]

  private let entries: [Entry]

  /// - Parameters:
  ///   - board: the board's `commandCatalogue`; entries with a topic of their own that is not safe are left out (boards from
  ///     before the registry refused them).
  ///   - timeouts: the board's `commandTimeouts`, for what the catalogue leaves open.
  ///   - deviceType: the board's, for what ships with the suite; the board's own entries stand before that.
  public init(board: JSONObject, timeouts: JSONObject = JSONObject(), deviceType: String? = nil) {
    let general = JSON.object(timeouts)
    let shipped = ShippedCatalogue.of(deviceType)
    let members = (shipped?.members ?? []).filter { board[$0.name] == nil } + board.members
    let own: [Entry] = members.compactMap { member in
      // What config does is the same on every board: only the times are the board's.
      let binding = Self.bindings.first { $0.type.isExactly(member.name) }
      let own: OwnProtocol?
      do { own = try binding == nil ? OwnProtocol(entry: member.value) : nil } catch { return nil }
      let standard = Self.builtIn.first { $0.type.isExactly(member.name) }?.timeouts ?? .standard
      return Entry(
        type: member.name,
        timeouts: standard.replaced(by: general).replaced(by: member.value["timeouts"]),
        paramsSchema: binding?.paramsSchema
          ?? member.value["paramsSchema"].flatMap { $0 == .null ? nil : $0 }, own: own)
    }
    let others = (shipped == nil ? Self.builtIn : Self.bindings).filter { entry in
      !own.contains { $0.type.isExactly(entry.type) }
    }
    entries =
      others.map {
        Entry(type: $0.type, timeouts: $0.timeouts.replaced(by: general), paramsSchema: $0.paramsSchema)
      } + own
  }

  public subscript(_ type: String) -> Entry? { entries.first { $0.type.isExactly(type) } }

  /// Their names, for the message to a client that asked for another.
  public var types: [String] { entries.map(\.type) }
}

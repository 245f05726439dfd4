import Wire

/// The commands that a device takes: the built-in ones, and those of its board's catalogue.
public struct Catalogue: Sendable {
  /// What the catalogue says of one command.
  public struct Entry: Sendable, Equatable {
    public let type: String
    public let timeouts: Timeouts
  }

  /// Built-in types that the device itself obeys, with their timeouts (SPEC, section 4).
  private static let builtIn = [
    Entry(type: "REBOOT", timeouts: Timeouts(deliver: 30, acknowledge: 30, complete: 30)),
    Entry(type: "UPDATE_CONFIG", timeouts: Timeouts(deliver: 30, acknowledge: 30, complete: 30)),
    Entry(type: "UPDATE_FIRMWARE", timeouts: Timeouts(deliver: 30, acknowledge: 30, complete: 1800)),
  ]

  private let entries: [Entry]

  /// - Parameter board: the board's `commandCatalogue`; entries with a topic of their own (SPEC, section 6.3) are
  ///   left out: this version does not speak them.
  public init(board: JSONObject) {
    if board.isEmpty {
      entries = Self.builtIn
      return
    }
    let own = board.members.filter { $0.value["topic"] == nil }.map { member in
      let given = member.value["timeouts"]
      func seconds(_ name: String) -> Int {
        given?[name]?.int.map { min(max(Int($0), Timeouts.range.lowerBound), Timeouts.range.upperBound) }
          ?? 30
      }
      return Entry(
        type: member.name,
        timeouts: Timeouts(
          deliver: seconds("deliverSeconds"), acknowledge: seconds("acknowledgeSeconds"),
          complete: seconds("completeSeconds")))
    }
    entries = Self.builtIn.filter { entry in !own.contains { $0.type == entry.type } } + own
  }

  public subscript(_ type: String) -> Entry? { entries.first { $0.type == type } }

  /// Their names, for the message to a client that asked for another.
  public var types: [String] { entries.map(\.type) }
}

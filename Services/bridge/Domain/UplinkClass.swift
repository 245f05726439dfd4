import Wire

/// Topics whose messages are read together, in the order in which a device said them.
///
/// The broker keeps one durable session for each, and one replica at a time reads it.
public enum UplinkClass: String, Sendable, CaseIterable {
  /// Answers to commands, and what devices ask for.
  case status
  /// What devices say of their configuration, and what the broker keeps as the desired one.
  case reported
  /// How devices are, and whether.
  case state

  /// What it reads.
  public var topics: [DeviceTopic] {
    switch self {
    case .status: [.commandStatus, .artefactGet]
    case .reported: [.reported, .desired]
    case .state: [.state, .presence]
    }
  }
}

/// The name of a session at the broker, as the lease table has it.
public enum UplinkSessionName: Sendable, Hashable, Comparable {
  /// A class's.
  case uplink(UplinkClass)
  /// One of the time when replicas shared all topics (`$share`): it is emptied and ended.
  case slot(Int)

  private static let slotPrefix = "slot-"

  /// Reads the text; nil for what a newer version has added.
  public init?(_ text: String) {
    if let known = UplinkClass(rawValue: text) {
      self = .uplink(known)
    } else if text.hasPrefix(Self.slotPrefix), let number = Int(text.dropFirst(Self.slotPrefix.count)) {
      self = .slot(number)
    } else {
      return nil
    }
  }

  /// As it stands in the table.
  public var text: String {
    switch self {
    case .uplink(let known): known.rawValue
    case .slot(let number): "\(Self.slotPrefix)\(number)"
    }
  }

  public static func < (a: Self, b: Self) -> Bool { a.text < b.text }
}

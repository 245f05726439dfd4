import Wire

/// What a filter can ask for.
public enum DeviceField: Sendable {
  case id, deviceId, mcuId, name, soc, boardId, networkId, createdAt, updatedAt
  case metadata(String)
  case groupId, online, lastSeenAt, applicationId, applicationVersion
  case attribute(String)

  /// How its values are read and compared.
  public enum Kind: Sendable {
    /// Text that is never a number, whatever it looks like.
    case identifier
    case text
    case id
    case time
    case flag
    case version
    /// What a device sent: text, or any other JSON.
    case anything
  }

  public var kind: Kind {
    switch self {
    case .id, .boardId, .networkId, .groupId: .id
    case .deviceId, .mcuId, .soc: .identifier
    case .name, .metadata, .applicationId: .text
    case .createdAt, .updatedAt, .lastSeenAt: .time
    case .online: .flag
    case .applicationVersion: .version
    case .attribute: .anything
    }
  }

  /// Whether it is registered, and not said by the device or a matter of groups.
  public var isOfRegistry: Bool {
    switch self {
    case .id, .deviceId, .mcuId, .name, .soc, .boardId, .networkId, .createdAt, .updatedAt, .metadata: true
    case .groupId, .online, .lastSeenAt, .applicationId, .applicationVersion, .attribute: false
    }
  }

  /// Whether `=lt=` and its kin make sense.
  var hasOrder: Bool {
    switch self {
    case .online, .groupId: false
    default: true
    }
  }

  /// Those without a name of their own after them.
  private static let plain: [(name: String, field: DeviceField)] = [
    ("id", .id), ("deviceId", .deviceId), ("mcuId", .mcuId), ("name", .name), ("soc", .soc),
    ("boardId", .boardId), ("networkId", .networkId), ("createdAt", .createdAt), ("updatedAt", .updatedAt),
    ("groupId", .groupId), ("online", .online), ("lastSeenAt", .lastSeenAt),
    ("applicationId", .applicationId), ("applicationVersion", .applicationVersion),
  ]

  /// The beginnings of those that have one.
  public static let metadataPrefix = "metadata."
  static let attributePrefix = "attributes."

  /// What there is, for messages.
  static let list =
    (plain.map(\.name) + [metadataPrefix + "<field>", attributePrefix + "<name>"]).joined(separator: ", ")

  init?(named name: String) {
    guard let field = Self.plain.first(where: { $0.name == name })?.field else { return nil }
    self = field
  }
}

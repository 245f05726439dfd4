/// JSON as text bytes, bound as `jsonb`, which keeps what it says, and read from `json` and `jsonb`; this room does not parse it.
public struct PostgresJSON: PostgresCodable, PostgresArrayElement, Hashable {
  /// The JSON text as UTF-8.
  public let bytes: [UInt8]

  /// From a JSON text's UTF-8.
  public init(bytes: [UInt8]) { self.bytes = bytes }
  /// From a JSON text.
  public init(text: String) { bytes = Array(text.utf8) }

  /// The JSON text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The type of the bind.
  public static var postgresType: PostgresType { .jsonb }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .jsonbArray }

  /// Appends the binary form; false for null.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    buffer.append(UInt8(1))  // the only version of jsonb's binary form
    buffer.append(bytes)
    return true
  }

  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws {
    bytes = try cell.withBytes { bytes in
      switch cell.type {
      case .json, .text: return Array(bytes)
      case .jsonb:
        guard bytes.first == 1 else { throw cell.fault("has an unknown jsonb version") }
        return Array(bytes.dropFirst())
      default: throw cell.unfitting(PostgresJSON.self)
      }
    }
  }
}

/// JSON as text bytes, bound as `json`, which keeps every character.
public struct PostgresJSONText: PostgresCodable, PostgresArrayElement, Hashable {
  /// The JSON text as UTF-8.
  public let bytes: [UInt8]

  /// From a JSON text's UTF-8.
  public init(bytes: [UInt8]) { self.bytes = bytes }

  /// The type of the bind.
  public static var postgresType: PostgresType { .json }
  /// The type of an array's bind.
  public static var postgresArrayType: PostgresType { .jsonArray }

  /// Appends the text.
  public func encode(into buffer: inout PostgresBuffer) -> Bool {
    buffer.append(bytes)
    return true
  }

  /// Reads a cell.
  public init(postgres cell: PostgresCell) throws { bytes = try PostgresJSON(postgres: cell).bytes }
}

import FoundationEssentials
import Wire

/// One field that a board asks of the metadata of its devices.
public struct MetadataField: Sendable, Equatable {
  public let name: String
  /// Each device must have it.
  public let required: Bool
  /// No two devices of the board have the same value.
  public let unique: Bool

  public init(name: String, required: Bool, unique: Bool) {
    (self.name, self.required, self.unique) = (name, required, unique)
  }

  /// As the API writes it.
  public var json: JSON {
    ["name": .string(name), "required": .bool(required), "unique": .bool(unique)]
  }

  /// Reads one.
  public static let shape = JSONShape<MetadataField>.fields(
    MetadataField(name: "", required: false, unique: false)
  ) { body in
    MetadataField(
      name: body.required("name", .string(Metadata.nameLength)),
      required: body.optional("required", .bool) ?? false, unique: body.optional("unique", .bool) ?? false)
  }
}

/// What an organisation notes on a device: text by name. Names that the board does not ask for are welcome.
public typealias Metadata = [String: String]

extension Metadata {
  // Together they stay within what an index entry can hold (2,704 bytes).
  static let nameLength = 1...64
  static let valueLength = 0...512
  static let maximumCount = 100

  /// As the API writes it.
  public var json: JSON {
    .object(sorted { $0.key < $1.key }.reduce(into: JSONObject()) { $0[$1.key] = .string($1.value) })
  }

  /// What a board does not find in it, and whether it is too much.
  public func faults(against fields: [MetadataField]) -> [JSONFault] {
    let missing = fields.filter { $0.required && self[$0.name] == nil }
      .map { Metadata.fault($0.name, "is required by the board") }
    if count <= Metadata.maximumCount { return missing }
    let tooMany = "must not have more than \(Metadata.maximumCount) fields"
    return missing + [JSONFault(pointer: "/metadata", message: tooMany)]
  }

  /// A fault of one field.
  public static func fault(_ name: String, _ message: String) -> JSONFault {
    JSONFault(pointer: "/metadata/" + JSONPointer.escape(name), message: message)
  }
}

extension JSONFields {
  /// The metadata of a device; nil if it is left out.
  mutating func metadata(_ name: String) -> Metadata? {
    let metadata = optional(name, JSONShape.string(Metadata.valueLength).map())
    check(metadata, name)
    return metadata
  }

  /// Changes of metadata: a null removes the field.
  mutating func metadataPatch(_ name: String) -> [String: String?] {
    let value = JSONShape<String?>(nil, expected: "null or a string of at most 512 characters") { json in
      if json == .null { return .some(nil) }
      return json.string.flatMap { Metadata.valueLength.contains($0.unicodeScalars.count) ? .some($0) : nil }
    }
    let changes = required(name, value.map())
    check(changes, name)
    return changes
  }

  private mutating func check<Value>(_ fields: [String: Value]?, _ name: String) {
    if let fields, !fields.keys.allSatisfy({ Metadata.nameLength.contains($0.unicodeScalars.count) }) {
      fail(name, "must have names of 1 to \(Metadata.nameLength.upperBound) characters")
    }
  }
}

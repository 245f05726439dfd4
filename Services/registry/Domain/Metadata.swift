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

/// What an organisation notes on a device: text by name, names compared by their code points. Names that the board does
/// not ask for are welcome.
public struct Metadata: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  /// One name and its value.
  public struct Field: Sendable, Equatable {
    public let name: String
    public let value: String

    public static func == (a: Field, b: Field) -> Bool {
      a.name.isExactly(b.name) && a.value.isExactly(b.value)
    }
  }

  // Together they stay within what an index entry can hold (2,704 bytes).
  static let nameLength = 1...64
  static let valueLength = 0...512
  public static let maximumCount = 100

  /// In the order of their names, so that two devices which want the same values never wait for each other in a circle.
  public private(set) var fields: [Field]

  /// Those of them whose name comes first count.
  public init(_ fields: some Sequence<(name: String, value: String)>) {
    let values = Dictionary(
      fields.map { (ExactText($0.name), $0.value) }, uniquingKeysWith: { old, _ in old })
    self.fields = values.sorted { $0.key < $1.key }.map { Field(name: $0.key.text, value: $0.value) }
  }

  public init(dictionaryLiteral elements: (String, String)...) {
    self.init(elements.map { (name: $0.0, value: $0.1) })
  }

  public var isEmpty: Bool { fields.isEmpty }
  public var count: Int { fields.count }

  /// The value of that name; setting nil removes the field.
  public subscript(_ name: String) -> String? {
    get { fields.first { $0.name.isExactly(name) }?.value }
    set { self = changed([Named(name: name, value: newValue)]) }
  }

  /// With these values in the place of those of the same names; nil removes the field.
  public func changed(_ changes: [Named<String?>]) -> Metadata {
    var values = Dictionary(
      fields.map { (ExactText($0.name), $0.value) }, uniquingKeysWith: { old, _ in old })
    for change in changes { values[ExactText(change.name)] = change.value }
    return Metadata(values.map { (name: $0.key.text, value: $0.value) })
  }

  /// As the API writes it.
  public var json: JSON {
    .object(JSONObject(fields.map { Named(name: $0.name, value: .string($0.value)) }))
  }

  /// What a board does not find in it, and whether it is too much. An empty value is as good as none.
  public func faults(against fields: [MetadataField]) -> [JSONFault] {
    let missing = fields.filter { $0.required && (self[$0.name] ?? "").isEmpty }
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
    guard let fields = optional(name, JSONShape.string(Metadata.valueLength).members()) else { return nil }
    check(fields, name)
    return Metadata(fields.map { (name: $0.name, value: $0.value) })
  }

  /// Changes of metadata: a null removes the field.
  mutating func metadataPatch(_ name: String) -> [Named<String?>] {
    let value = JSONShape<String?>(nil, expected: "null or a string of at most 512 characters") { json in
      if json == .null { return .some(nil) }
      return json.string.flatMap { Metadata.valueLength.contains($0.unicodeScalars.count) ? .some($0) : nil }
    }
    let changes = required(name, value.members())
    check(changes, name)
    return changes
  }

  private mutating func check<Value>(_ fields: [Named<Value>], _ name: String) {
    if !fields.allSatisfy({ Metadata.nameLength.contains($0.name.unicodeScalars.count) }) {
      fail(name, "must have names of 1 to \(Metadata.nameLength.upperBound) characters")
    }
  }
}

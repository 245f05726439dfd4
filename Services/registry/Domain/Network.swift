import FoundationEssentials
import Wire

/// A radio network that devices belong to: its number, and the key that they share.
public struct Network: Sendable, Equatable, Document {
  public let id: UUID
  public let organisationId: UUID
  public let createdAt: Date
  public let updatedAt: Date
  public let name: String
  public let description: String
  /// Hexadecimal, as it was written.
  public let key: String
  /// What devices call it.
  public let networkId: Int64
  /// Every organisation may read and use it.
  public let isPublic: Bool
  /// Grows by one with each change.
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, createdAt: Date, updatedAt: Date, name: String, description: String,
    key: String, networkId: Int64, isPublic: Bool, rev: Int64
  ) {
    (self.id, self.organisationId, self.createdAt) = (id, organisationId, createdAt)
    (self.updatedAt, self.name, self.description) = (updatedAt, name, description)
    (self.key, self.networkId, self.isPublic, self.rev) = (key, networkId, isPublic, rev)
  }

  /// Reads what clients set, from the body of a POST or from the document that a PUT has made.
  private init(
    _ body: inout JSONFields, organisationId: UUID, id: UUID, createdAt: Date, updatedAt: Date, rev: Int64
  ) {
    self.init(
      id: id, organisationId: organisationId, createdAt: createdAt, updatedAt: updatedAt,
      name: body.required("name", .string(1...200)),
      description: body.optional("description", .string(0...2000)) ?? "",
      key: body.required("key", Self.key), networkId: Int64(body.required("networkId", Self.number)),
      isPublic: body.optional("public", .bool) ?? false, rev: rev)
  }

  /// A new one, from the body that asks for it.
  /// - Parameter organisation: whose it is if the body does not say.
  public init(creating body: inout JSONFields, organisation: UUID?, id: UUID, at time: Date) {
    self.init(
      &body, organisationId: body.organisation(default: organisation), id: id, createdAt: time,
      updatedAt: time, rev: 1)
  }

  /// What a PUT makes of it.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> Network {
    try replaced(by: body) {
      Network(
        &$0, organisationId: organisationId, id: id, createdAt: createdAt, updatedAt: time, rev: rev + 1)
    }
  }

  /// As the API writes it.
  public var json: JSON {
    [
      "id": .string(id.text), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339), "name": .string(name), "description": .string(description),
      "key": .string(key), "networkId": .int(networkId), "organisationId": .string(organisationId.text),
      "public": .bool(isPublic),
    ]
  }

  /// As many bits as any protocol has for it.
  static let number = JSONShape<Int>.int(0...Int(UInt32.max))
  static let key = JSONShape<String>.string(
    matching: "an even number of hexadecimal characters, 2 to 256"
  ) { text in
    (2...256).contains(text.utf8.count) && text.utf8.count.isMultiple(of: 2)
      && text.unicodeScalars.allSatisfy { $0.isASCII && $0.properties.isASCIIHexDigit }
  }
}

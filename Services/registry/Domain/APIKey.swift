import FoundationEssentials
import Wire

/// A key of an organisation, as it is kept: without the key itself, which only its hash is known of.
public struct APIKey: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let name: String
  public let role: Role
  /// SHA-256 of the key, 64 hex characters.
  public let hash: String
  public let createdAt: Date
  public let expiresAt: Date?
  /// At any service, up to a minute old; nil if never.
  public let lastUsedAt: Date?

  public init(
    id: UUID, organisationId: UUID, name: String, role: Role, hash: String, createdAt: Date,
    expiresAt: Date?, lastUsedAt: Date? = nil
  ) {
    (self.id, self.organisationId, self.name, self.role) = (id, organisationId, name, role)
    (self.hash, self.createdAt, self.expiresAt) = (hash, createdAt, expiresAt)
    self.lastUsedAt = lastUsedAt
  }

  /// A new one, from the body that asks for it.
  /// - Parameter organisation: whose it is if the body does not say.
  public init(
    creating body: inout JSONFields, organisation: UUID?, id: UUID, hash: String, at time: Date
  ) {
    let expiresAt = body.optional("expiresAt", .time)?.wholeMilliseconds
    if let expiresAt, expiresAt <= time { body.fail("expiresAt", "must be in the future") }
    self.init(
      id: id, organisationId: body.organisation(default: organisation),
      name: body.required("name", .string(1...200)), role: body.required("role", .word(.viewer)), hash: hash,
      createdAt: time, expiresAt: expiresAt)
  }

  /// As the API writes it.
  public var json: JSON {
    .compact([
      "id": .string(id.text), "organisationId": .string(organisationId.text), "name": .string(name),
      "role": .string(role.rawValue), "createdAt": .string(createdAt.rfc3339),
      "expiresAt": expiresAt.map { .string($0.rfc3339) },
      "lastUsedAt": lastUsedAt.map { .string($0.rfc3339) },
    ])
  }

  /// What a key looks like: `mk_` and 256 random bits.
  public static func text(random bytes: [UInt8]) -> String { prefix + bytes.hex }
  static let prefix = "mk_"
}

extension JSONFields {
  /// Whose a new object is: a key may leave it out, since it can only mean its own.
  mutating func organisation(default own: UUID?) -> UUID {
    guard let own else { return required("organisationId", .uuid) }
    return optional("organisationId", .uuid) ?? own
  }
}

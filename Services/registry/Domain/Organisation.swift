import FoundationEssentials
import Wire

/// The tenant.
public struct Organisation: Sendable, Equatable {
  public let id: UUID
  public let createdAt: Date
  public let updatedAt: Date
  public let name: String
  public let slug: String
  /// Grows by one with each change.
  public let rev: Int64

  public init(id: UUID, createdAt: Date, updatedAt: Date, name: String, slug: String, rev: Int64) {
    (self.id, self.createdAt, self.updatedAt) = (id, createdAt, updatedAt)
    (self.name, self.slug, self.rev) = (name, slug, rev)
  }

  /// A new one, from the body that asks for it.
  public init(creating body: inout JSONFields, id: UUID, at time: Date) {
    let name = body.required("name", Self.name)
    let slug = body.optional("slug", Self.slug) ?? Self.slug(from: name, id: id)
    self.init(id: id, createdAt: time, updatedAt: time, name: name, slug: slug, rev: 1)
  }

  /// What a PUT makes of it.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> Organisation {
    var fields = JSONFields(json.replacing(with: body))
    fields.fixed(["id", "createdAt"], as: json)
    let changed = Organisation(
      id: id, createdAt: createdAt, updatedAt: time, name: fields.required("name", Self.name),
      slug: fields.required("slug", Self.slug), rev: rev + 1)
    try fields.finish()
    return changed
  }

  /// As the API writes it.
  public var json: JSON {
    [
      "id": .string(id.text), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339),
      "name": .string(name), "slug": .string(slug),
    ]
  }

  static let name = JSONShape<String>.string(1...200)
  static let slug = JSONShape<String>.string(
    matching: "2 to 40 lower-case letters, digits and hyphens", Identifier.isSlug)

  /// The slug of a name: ASCII letters and digits, hyphens between the words. A name that has too few of them gets one
  /// from the id.
  static func slug(from name: String, id: UUID) -> String {
    let words = name.lowercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }
    var slug = String(words.joined(separator: "-").prefix(40))
    while slug.hasSuffix("-") { slug.removeLast() }
    return Identifier.isSlug(slug) ? slug : "organisation-\(id.text.suffix(12))"
  }
}

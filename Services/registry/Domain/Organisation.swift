import FoundationEssentials
import Wire

/// The tenant.
public struct Organisation: Sendable, Equatable, Document {
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
    let isGiven = body.optional("slug", .any) != nil
    let slug = isGiven ? body.optional("slug", Self.slug) : Self.slug(from: name)
    if !isGiven, slug == nil, !name.isEmpty {
      body.fail("slug", "is needed: the name has too few ASCII letters and digits to make one of")
    }
    self.init(id: id, createdAt: time, updatedAt: time, name: name, slug: slug ?? "", rev: 1)
  }

  /// What a PUT makes of it.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> Organisation {
    try replaced(by: body, fixed: ["id", "createdAt"]) {
      Organisation(
        id: id, createdAt: createdAt, updatedAt: time, name: $0.required("name", Self.name),
        slug: $0.required("slug", Self.slug), rev: rev + 1)
    }
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

  /// The slug of a name: its ASCII letters and digits, without the accents on them, hyphens between the words. However
  /// the accents are spelled, the slug is the same.
  /// - Returns: nil if that are too few.
  static func slug(from name: String) -> String? {
    var slug = ""
    var isGap = false
    for scalar in name.lowercased().unicodeScalars where scalar.properties.generalCategory != .nonspacingMark
    {
      if let plain = plain(scalar) {
        if isGap, !slug.isEmpty { slug += "-" }
        slug.unicodeScalars.append(plain)
        isGap = false
      } else {
        isGap = true
      }
    }
    slug = String(slug.prefix(40))
    while slug.hasSuffix("-") { slug.removeLast() }
    return Identifier.isSlug(slug) ? slug : nil
  }

  /// The ASCII letter or digit that it is, or is with a mark on it: nil for anything else.
  ///
  /// By its name in Unicode, such as LATIN SMALL LETTER U WITH DIAERESIS: that also knows those which have no
  /// decomposition, such as the letters with a stroke.
  private static func plain(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
    if scalar.isASCII {
      return scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal ? scalar : nil
    }
    let words = (scalar.properties.name ?? "").split(separator: " ")
    guard words.count > 5, words.prefix(3) == ["LATIN", "SMALL", "LETTER"], words[3].utf8.count == 1,
      words[4] == "WITH"
    else { return nil }
    return words[3].lowercased().unicodeScalars.first
  }
}

import ConfigDomain
import FoundationEssentials
import HTTP
import Runtime
import Wire

extension JSONShape where Value == String {
  static var slot: JSONShape { .string(matching: "1 to 64 of A-Z a-z 0-9 . _ -", Identifier.isName) }
}

extension JSONShape where Value == ConfigService.TargetReference {
  static var target: JSONShape {
    .fields(ConfigService.TargetReference(type: .device, id: "")) { target in
      ConfigService.TargetReference(
        type: target.required("type", .word(.device)), id: target.required("id", .string(1...64)))
    }
  }
}

extension JSONShape where Value == String {
  static var contentType: JSONShape {
    .string(matching: "a media type, such as application/octet-stream", ContentType.isValid)
  }
}

extension JSONShape where Value == Profile {
  static var profile: JSONShape {
    .fields(Profile(type: .device, id: UUID())) { profile in
      Profile(type: profile.required("type", .word(.device)), id: profile.required("id", .uuid))
    }
  }
}

extension HTTPRequest {
  /// One of the words of an enumeration.
  /// - Throws: 400 for another.
  func optionalWord<E: RawRepresentable & CaseIterable>(_ name: String, of words: E.Type) throws -> E?
  where E.RawValue == String {
    guard let text = query[name] else { return nil }
    guard let value = E(rawValue: text) else {
      throw Problem.badRequest(
        "\(name) must be one of \(E.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return value
  }

  /// A slot's name.
  /// - Throws: 400 for what no slot is called.
  func optionalSlot(_ name: String) throws -> String? {
    guard let text = query[name] else { return nil }
    guard Identifier.isName(text) else {
      throw Problem.badRequest("\(name) must be 1 to 64 of A-Z a-z 0-9 . _ -.")
    }
    return text
  }

  /// A hash as artefacts have it.
  /// - Throws: 400 for what is none.
  func optionalSHA256(_ name: String) throws -> String? {
    guard let text = query[name] else { return nil }
    guard Artefact.isSHA256(text) else {
      throw Problem.badRequest("\(name) must be 64 lower-case hexadecimal digits.")
    }
    return text
  }

  /// A whole number.
  /// - Throws: 400 for what is none, or out of range.
  func optionalInt(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    query[name] == nil ? nil : try int(name, default: range.lowerBound, in: range)
  }

  /// Answers the page that `limit` and `cursor` ask for, of a list in the order of ids.
  func page<Item>(
    id: (Item) -> UUID, list: (Keyset) async throws -> [Item], json: (Item) -> JSON
  ) async throws -> HTTPResponse {
    let limit = try int("limit", default: 100, in: 1...1000)
    let after = try query["cursor"].map { text in
      guard let id = UUID(uuidString: try Cursor(text, count: 1).values[0]) else { throw Cursor.unknown }
      return id
    }
    // One more than asked for tells whether there is a next page.
    let found = try await list(Keyset(after: after, limit: limit + 1))
    let items = found.prefix(limit)
    let next = found.count > limit ? items.last.map { Cursor([id($0).text]).text } : nil
    return .page(items.map(json), next: next)
  }
}

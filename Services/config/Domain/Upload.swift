import FoundationEssentials
import Wire

/// A large artefact on its way: what its bytes have to be, and until when they may come.
public struct Upload: Sendable, Equatable {
  /// The most bytes of an upload that a schema is held against: it is read whole for that.
  public static let judgedLimit = 1024 * 1024

  public let id: UUID
  public let organisationId: UUID
  public let slot: String
  public let profile: Profile
  /// In bytes.
  public let size: Int
  /// Of the bytes, 64 hex characters.
  public let sha256: String
  public let contentType: String
  public let expiresAt: Date
  /// What it has become; nil before.
  public let artefactId: UUID?

  public init(
    id: UUID, organisationId: UUID, slot: String, profile: Profile, size: Int, sha256: String,
    contentType: String, expiresAt: Date, artefactId: UUID? = nil
  ) {
    (self.id, self.organisationId, self.slot, self.profile) = (id, organisationId, slot, profile)
    (self.size, self.sha256, self.contentType) = (size, sha256, contentType)
    (self.expiresAt, self.artefactId) = (expiresAt, artefactId)
  }

  /// Where its bytes are: nobody else's ever are there.
  public var object: ObjectKey { ObjectKey(organisation: organisationId, id: id) }

  /// What is wrong with uploading that into a slot that has a schema, or has none.
  public func faults(hasSchema: Bool) -> [JSONFault] {
    guard hasSchema else { return [] }
    guard ContentType.isJSON(contentType) else {
      return [JSONFault(pointer: "/contentType", message: "must be application/json: the slot has a schema")]
    }
    guard size <= Self.judgedLimit else {
      let message =
        "must be at most \(Self.judgedLimit): the slot has a schema, which the content is held against"
      return [JSONFault(pointer: "/size", message: message)]
    }
    return []
  }

  /// Whether these are the bytes that were announced.
  public func fits(size: Int, sha256: String) -> Bool { size == self.size && sha256 == self.sha256 }
}

/// The name of an object in the store.
public struct ObjectKey: Sendable, Hashable {
  /// As tables have it: `organisation/id`.
  public let text: String

  init(organisation: UUID, id: UUID) { text = "\(organisation.text)/\(id.text)" }

  /// - Parameter text: as it stands in a table.
  public init(stored text: String) { self.text = text }

  /// Reads what somebody asked for; nil for what is no object's name.
  public init?(organisation: String, id: String) {
    guard let organisation = UUID(text: organisation), let id = UUID(text: id) else { return nil }
    self.init(organisation: organisation, id: id)
  }

  public var segments: [String] { text.split(separator: "/").map(String.init) }
}

/// Media types (RFC 9110, section 8.3).
public enum ContentType {
  /// Whether it is one that can stand in a header: `type/subtype`, perhaps with parameters.
  public static func isValid(_ text: String) -> Bool {
    guard text.utf8.count <= 255, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
      text.utf8.first != 0x20, text.utf8.last != 0x20, !text.contains("  ")
    else { return false }
    let parts = kind(text).split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isToken) }
  }

  /// Whether what is of that type is JSON.
  public static func isJSON(_ text: String) -> Bool {
    let kind = kind(text).lowercased()
    return kind == "application/json" || kind.hasSuffix("+json")
  }

  private static func kind(_ text: String) -> Substring {
    let kind = text.prefix { $0 != ";" }
    return kind.last == " " ? kind.dropLast() : kind
  }

  private static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
    default: false
    }
  }
}

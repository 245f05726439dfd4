import FoundationEssentials
import Wire

/// What an artefact is made for: a board, or a sensor profile.
public struct Profile: Sendable, Hashable {
  /// The words of the API.
  public enum Kind: String, Sendable, CaseIterable {
    case device = "DEVICE_PROFILE"
    case sensor = "SENSOR_PROFILE"
  }

  public let type: Kind
  public let id: UUID

  public init(type: Kind, id: UUID) { (self.type, self.id) = (type, id) }
}

/// One immutable version of a configuration.
public struct Artefact: Sendable, Equatable {
  /// The most canonical bytes that are kept inline.
  public static let inlineLimit = 64 * 1024

  public let id: UUID
  public let organisationId: UUID
  public let slot: String
  public let profile: Profile
  /// 1, 2, 3… for each organisation, profile and slot.
  public let version: Int
  /// Of the canonical bytes, 64 hex characters.
  public let sha256: String
  /// In bytes.
  public let size: Int
  public let contentType: String
  public let createdAt: Date
  public let createdBy: String

  public init(
    id: UUID, organisationId: UUID, slot: String, profile: Profile, version: Int, sha256: String, size: Int,
    contentType: String, createdAt: Date, createdBy: String
  ) {
    (self.id, self.organisationId, self.slot, self.profile) = (id, organisationId, slot, profile)
    (self.version, self.sha256, self.size, self.contentType) = (version, sha256, size, contentType)
    (self.createdAt, self.createdBy) = (createdAt, createdBy)
  }

  /// Whether it is a hash as artefacts have it: 64 lower-case hexadecimal digits.
  public static func isSHA256(_ text: String) -> Bool {
    text.utf8.count == 64
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }

  /// What a device is told of it, and reports back.
  public var reference: ArtefactReference {
    ArtefactReference(id: id, version: version, sha256: sha256, contentType: contentType)
  }
}

/// Where an artefact's bytes are.
public enum ArtefactBody: Sendable, Equatable {
  /// Here: canonical JSON.
  case inline([UInt8])
  /// In the object store.
  case object(ObjectKey)
}

/// As much of an artefact as a desired document says besides the content.
public struct ArtefactReference: Sendable, Equatable {
  public let id: UUID
  public let version: Int
  public let sha256: String
  public let contentType: String

  public init(id: UUID, version: Int, sha256: String, contentType: String) {
    (self.id, self.version, self.sha256, self.contentType) = (id, version, sha256, contentType)
  }
}

import FoundationEssentials
import Wire

/// Who asks: an API key, or the root key.
public enum Principal: Sendable, Equatable {
  /// Creates organisations and may act in any of them.
  case root
  case key(id: UUID, organisationId: UUID, name: String, role: Role)

  /// The organisation it belongs to; nil for root, which belongs to none and may act in all.
  public var organisationId: UUID? {
    if case .key(_, let organisationId, _, _) = self { organisationId } else { nil }
  }

  /// What it may do.
  public var role: Role {
    if case .key(_, _, _, let role) = self { role } else { .admin }
  }

  /// How records name it (`createdBy`).
  public var name: String {
    switch self {
    case .root: "root"
    case .key(let id, _, _, _): "apiKey/\(id.text)"
    }
  }

  /// Whether it may see what belongs to that organisation.
  public func mayAct(in organisation: UUID) -> Bool { organisationId.map { $0 == organisation } ?? true }
}

/// A key as it is stored.
public struct StoredKey: Sendable {
  public let principal: Principal
  public let expiresAt: Date?

  public init(principal: Principal, expiresAt: Date?) {
    self.principal = principal
    self.expiresAt = expiresAt
  }
}

/// What is known of a key that was not found at first.
public enum KeyAnswer: Sendable {
  case found(StoredKey)
  /// It is nobody's.
  case none
  /// It is nobody's of whom this service knows; but it cannot be said now whether it knows of all.
  case unsettled

  var isSettled: Bool { if case .unsettled = self { false } else { true } }
}

/// Where keys are looked up by the SHA-256 of their text: the registry's own table, or the directory elsewhere.
public protocol KeyStore: Sendable {
  /// - Parameter hash: 64 hex characters.
  /// - Returns: nil if there is no such key that is known here.
  func key(hash: String) async throws -> StoredKey?

  /// Looks for a key that was not found, once every key that was made before this call is known here.
  func settledKey(hash: String) async throws -> KeyAnswer
}

extension KeyStore {
  /// Where keys are made, nothing is to be waited for.
  public func settledKey(hash: String) async throws -> KeyAnswer { .none }
}

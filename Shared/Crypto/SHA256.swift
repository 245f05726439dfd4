/// SHA-256, at once or bit by bit.
///
/// ```swift
/// let digest = SHA256.hash(data: bytes).hex
/// ```
public struct SHA256: ~Copyable {
  /// A digest's length in bytes.
  public static let byteCount = 32

  private let context: DigestContext

  /// A hash of nothing so far.
  public init() { context = DigestContext() }

  /// Adds bytes to what is hashed.
  public mutating func update(data: [UInt8]) { data.withUnsafeBytes { context.update($0) } }

  /// The digest of all that was added: 32 bytes.
  public consuming func finalize() -> [UInt8] { context.finish() }

  /// The digest of these bytes: 32 bytes.
  public static func hash(data: [UInt8]) -> [UInt8] { data.withUnsafeBytes(RawDigest.sha256) }

  /// The digest of these bytes: 32 bytes.
  public static func hash(_ data: [UInt8]) -> [UInt8] { hash(data: data) }

  /// The digest of the text's UTF-8.
  public static func hash(_ text: String) -> [UInt8] { hash(data: Array(text.utf8)) }
}

/// Keyed digests (RFC 2104) over SHA-256.
public enum HMAC {
  /// The authentication code of a message: 32 bytes.
  public static func sha256(for message: [UInt8], using key: [UInt8]) -> [UInt8] {
    RawDigest.hmac(message, key)
  }
}

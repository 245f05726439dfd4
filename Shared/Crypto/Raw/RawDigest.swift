import COpenSSL

/// libcrypto's digests. Its calls fail only for want of memory or with a broken installation, where nothing that is
/// signed or compared could be right any more: that ends the process.
enum RawDigest {
  /// Looked up once: since OpenSSL 3 `EVP_sha256()` in a call makes the call look it up again.
  ///
  /// `nonisolated(unsafe)`: set once, before its first use, never freed, and libcrypto only reads it.
  nonisolated(unsafe) static let algorithm: OpaquePointer? = EVP_MD_fetch(nil, "SHA256", nil)

  static func sha256(_ data: UnsafeRawBufferPointer) -> [UInt8] {
    output { EVP_Digest(data.baseAddress, data.count, $0, nil, algorithm, nil) == 1 }
  }

  static func hmac(_ message: [UInt8], _ key: [UInt8]) -> [UInt8] {
    var length = 0
    return output { place in
      EVP_Q_mac(
        nil, "HMAC", nil, "SHA256", nil, key, key.count, message, message.count, place, SHA256.byteCount,
        &length)
        != nil
    }
  }

  static func output(_ write: (UnsafeMutablePointer<UInt8>?) -> Bool) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { buffer, count in
      precondition(write(buffer.baseAddress), "libcrypto cannot hash")
      count = SHA256.byteCount
    }
  }
}

/// Owns a digest that is under way.
final class DigestContext {
  private let pointer: OpaquePointer?

  init() {
    pointer = EVP_MD_CTX_new()
    precondition(EVP_DigestInit_ex(pointer, RawDigest.algorithm, nil) == 1, "libcrypto cannot hash")
  }

  deinit { EVP_MD_CTX_free(pointer) }

  func update(_ data: UnsafeRawBufferPointer) {
    precondition(EVP_DigestUpdate(pointer, data.baseAddress, data.count) == 1, "libcrypto cannot hash")
  }

  func finish() -> [UInt8] { RawDigest.output { EVP_DigestFinal_ex(pointer, $0, nil) == 1 } }
}

import COpenSSL

/// Whether the bytes are the same, in a time that depends on nothing but their number: for what is compared with a
/// secret. Different lengths are told at once.
public func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}

/// Bytes that nobody can guess, for keys and tokens.
public enum SecureRandom {
  /// So many bytes of the system's randomness.
  public static func bytes(count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      // A failure means that the system has no randomness to give: no key may be made then.
      precondition(RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "the system has no randomness")
      initialized = count
    }
  }
}

import COpenSSL

/// libcrypto's part of `CertificateSigningRequest`.
enum RawSigningRequest {
  /// The key of a request in PEM that has signed it: SubjectPublicKeyInfo in DER.
  static func publicKey(of text: [UInt8]) throws(CertificateError) -> [UInt8] {
    let request = try PEM.request(text)
    let key = try Owned(X509_REQ_get_pubkey(request.pointer), "its public key cannot be read") {
      EVP_PKEY_free($0)
    }
    guard isTaken(key) else {
      throw CertificateError(
        "its key is not taken: P-256, P-384, P-521, Ed25519 and RSA of 2048 to 8192 bits are")
    }
    guard X509_REQ_verify(request.pointer, key.pointer) == 1 else {
      ERR_clear_error()
      throw CertificateError("its signature is not that of its key")
    }
    var place: UnsafeMutablePointer<UInt8>?
    let count = i2d_PUBKEY(key.pointer, &place)
    guard count > 0, let encoded = place else { throw .library("its public key cannot be written") }
    defer { CRYPTO_free(encoded, nil, 0) }
    return Array(UnsafeBufferPointer(start: encoded, count: Int(count)))
  }

  private static func isTaken(_ key: borrowing Owned) -> Bool {
    if EVP_PKEY_is_a(key.pointer, "ED25519") == 1 { return true }
    if EVP_PKEY_is_a(key.pointer, "RSA") == 1 {
      return (2048...8192).contains(EVP_PKEY_get_bits(key.pointer))
    }
    guard EVP_PKEY_is_a(key.pointer, "EC") == 1 else { return false }
    var name = [CChar](repeating: 0, count: 64)
    var length = 0
    // A curve that is given by its parameters has no name.
    guard EVP_PKEY_get_group_name(key.pointer, &name, name.count, &length) == 1 else { return false }
    let curve = String(decoding: name.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
    return ["prime256v1", "secp384r1", "secp521r1"].contains(curve)
  }
}

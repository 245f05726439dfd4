/// What a device asks a certificate for (PKCS#10, RFC 2986): its public key, which the request's signature shows to be its
/// own. What else a request says of its subject is for whoever signs to decide.
public struct CertificateSigningRequest: Sendable {
  /// SubjectPublicKeyInfo in DER.
  let publicKey: [UInt8]

  /// The largest that is read, in bytes: a request with a key of 8,192 bits has 3 KiB.
  public static let maximumSize = 16 * 1024

  /// Reads one in PEM form and verifies its signature.
  /// - Throws: what is wrong with it: no PEM, a key that is too weak or of a kind that is not taken (P-256, P-384, P-521,
  ///   Ed25519, RSA of 2,048 to 8,192 bits are), a signature of another key.
  public init(pemEncoded text: String) throws(CertificateError) {
    let bytes = Array(text.utf8)
    guard bytes.count <= Self.maximumSize else {
      throw CertificateError("is larger than \(Self.maximumSize) bytes")
    }
    publicKey = try RawSigningRequest.publicKey(of: bytes)
  }
}

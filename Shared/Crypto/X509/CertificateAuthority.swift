import FoundationEssentials

/// A certificate of a device (X.509, RFC 5280).
public struct Certificate: Sendable, Equatable {
  public let pem: String
  /// A positive number, the most significant byte first.
  public let serialNumber: [UInt8]
  /// Whole seconds, as X.509 has them.
  public let notBefore: Date
  public let notAfter: Date
}

/// Whoever signs the certificates of devices.
public struct CertificateAuthority: Sendable {
  /// Its own certificate and those above it, in PEM: what a device sends with its own.
  public let chain: String
  /// Until when it can sign.
  public let notAfter: Date
  // Kept as text and read for each signature, which takes longer: no pointer is shared.
  private let certificate: [UInt8]
  private let key: [UInt8]

  /// - Parameters:
  ///   - chain: its certificate first, in PEM.
  ///   - privateKey: in PEM, without a passphrase.
  /// - Throws: where they do not belong together, or the certificate may not sign others.
  public init(chain: String, privateKey: String) throws(CertificateError) {
    (self.chain, certificate, key) = (chain, Array(chain.utf8), Array(privateKey.utf8))
    notAfter = try RawCertificate.checkAuthority(certificate, key: key)
  }

  /// Signs a certificate for a client: of that name and the key of the request, and nothing else that the request says.
  /// - Parameters:
  ///   - commonName: at most 64 characters (RFC 5280, ub-common-name).
  ///   - notAfter: but not after the authority's own.
  /// - Throws: what libcrypto refuses.
  public func issue(
    to request: CertificateSigningRequest, commonName: String, notBefore: Date, notAfter: Date
  ) throws(CertificateError) -> Certificate {
    let made = Certificate(
      pem: "", serialNumber: Self.serialNumber(), notBefore: notBefore.wholeSeconds,
      notAfter: min(notAfter, self.notAfter).wholeSeconds)
    let pem = try RawCertificate.sign(
      made, commonName, publicKey: request.publicKey, by: certificate, key: key)
    return Certificate(
      pem: pem, serialNumber: made.serialNumber, notBefore: made.notBefore, notAfter: made.notAfter)
  }

  /// 127 random bits, positive (RFC 5280, 4.1.2.2).
  private static func serialNumber() -> [UInt8] {
    var bytes = SecureRandom.bytes(count: 16)
    bytes[0] = bytes[0] & 0x3F | 0x40
    return bytes
  }
}

extension Date {
  fileprivate var wholeSeconds: Date { Date(timeIntervalSince1970: timeIntervalSince1970.rounded(.down)) }
}

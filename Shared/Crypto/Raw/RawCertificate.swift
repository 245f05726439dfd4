import COpenSSL
import FoundationEssentials

/// libcrypto's part of `CertificateAuthority`.
enum RawCertificate {
  /// - Returns: until when it can sign.
  /// - Throws: where certificate and key do not belong together, or it may not sign others.
  static func checkAuthority(_ certificate: [UInt8], key: [UInt8]) throws(CertificateError) -> Date {
    let own = try PEM.certificate(certificate)
    let key = try PEM.privateKey(key)
    guard X509_check_private_key(own.pointer, key.pointer) == 1 else {
      throw .library("the private key is not that of the authority's certificate")
    }
    guard X509_check_ca(own.pointer) == 1 else {
      throw CertificateError("the certificate is not an authority's (basicConstraints CA:TRUE)")
    }
    var end = tm()
    guard ASN1_TIME_to_tm(X509_get0_notAfter(own.pointer), &end) == 1 else {
      throw .library("its end cannot be read")
    }
    return Date(timeIntervalSince1970: Double(timegm(&end)))
  }

  /// - Parameter publicKey: SubjectPublicKeyInfo in DER.
  /// - Returns: the certificate in PEM.
  static func sign(
    _ certificate: Certificate, _ commonName: String, publicKey: [UInt8], by authority: [UInt8], key: [UInt8]
  ) throws(CertificateError) -> String {
    ERR_clear_error()
    let issuer = try PEM.certificate(authority)
    let signer = try PEM.privateKey(key)
    let made = try Owned(X509_new(), "no memory") { X509_free($0) }
    try made.describe(certificate, commonName, issuer, key: publicKey)
    try made.extend(by: issuer)
    // Ed25519 hashes by itself.
    let digest = EVP_PKEY_is_a(signer.pointer, "ED25519") == 1 ? nil : RawDigest.algorithm
    guard X509_sign(made.pointer, signer.pointer, digest) > 0 else { throw .library("cannot be signed") }
    return try PEM.text(of: made)
  }
}

extension Owned {
  fileprivate borrowing func describe(
    _ certificate: Certificate, _ commonName: String, _ issuer: borrowing Owned, key: [UInt8]
  ) throws(CertificateError) {
    let serial = certificate.serialNumber
    let number = try Owned(BN_bin2bn(serial, Int32(serial.count), nil), "no memory") { BN_free($0) }
    let name = try Owned(X509_NAME_new(), "no memory") { X509_NAME_free($0) }
    let publicKey = try Owned(
      key.withUnsafeBufferPointer { bytes in
        var place = bytes.baseAddress
        return d2i_PUBKEY(nil, &place, bytes.count)
      }, "the public key cannot be read"
    ) { EVP_PKEY_free($0) }
    let common = Array(commonName.utf8)
    let fits =
      X509_set_version(pointer, 2) == 1
      && BN_to_ASN1_INTEGER(number.pointer, X509_get_serialNumber(pointer)) != nil
      && X509_NAME_add_entry_by_NID(
        name.pointer, NID_commonName, MBSTRING_FLAG, common, Int32(common.count), -1, 0) == 1
      && X509_set_subject_name(pointer, name.pointer) == 1
      && X509_set_issuer_name(pointer, X509_get_subject_name(issuer.pointer)) == 1
      && ASN1_TIME_set(X509_getm_notBefore(pointer), Int(certificate.notBefore.timeIntervalSince1970)) != nil
      && ASN1_TIME_set(X509_getm_notAfter(pointer), Int(certificate.notAfter.timeIntervalSince1970)) != nil
      && X509_set_pubkey(pointer, publicKey.pointer) == 1
    guard fits else { throw .library("cannot be made") }
  }

  /// A client's: it signs to show who it is, and signs nothing else.
  fileprivate borrowing func extend(by issuer: borrowing Owned) throws(CertificateError) {
    var context = X509V3_CTX()
    X509V3_set_ctx(&context, issuer.pointer, pointer, nil, nil, 0)
    let extensions: [(Int32, String)] = [
      (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
      (NID_ext_key_usage, "clientAuth"), (NID_subject_key_identifier, "hash"),
      (NID_authority_key_identifier, "keyid,issuer"),
    ]
    for (identifier, value) in extensions {
      let made = try Owned(
        X509V3_EXT_conf_nid(nil, &context, identifier, value), "the extension \(value) cannot be made"
      ) { X509_EXTENSION_free($0) }
      guard X509_add_ext(pointer, made.pointer, -1) == 1 else { throw .library("cannot be extended") }
    }
  }
}

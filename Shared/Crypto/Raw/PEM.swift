import COpenSSL

/// Reading and writing of PEM (RFC 7468), in memory.
enum PEM {
  static func request(_ text: [UInt8]) throws(CertificateError) -> Owned {
    try read(text, "no certificate request in PEM form") {
      PEM_read_bio_X509_REQ($0, nil, noPassphrase, nil)
    } free: {
      X509_REQ_free($0)
    }
  }

  static func certificate(_ text: [UInt8]) throws(CertificateError) -> Owned {
    try read(text, "no certificate in PEM form") {
      PEM_read_bio_X509($0, nil, noPassphrase, nil)
    } free: {
      X509_free($0)
    }
  }

  static func privateKey(_ text: [UInt8]) throws(CertificateError) -> Owned {
    try read(text, "no private key in PEM form, without a passphrase") {
      PEM_read_bio_PrivateKey($0, nil, noPassphrase, nil)
    } free: {
      EVP_PKEY_free($0)
    }
  }

  static func text(of certificate: borrowing Owned) throws(CertificateError) -> String {
    let memory = try Owned(BIO_new(BIO_s_mem()), "no memory") { BIO_free($0) }
    guard PEM_write_bio_X509(memory.pointer, certificate.pointer) == 1 else {
      throw .library("cannot be written")
    }
    let count = BIO_ctrl_pending(memory.pointer)
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = max(0, Int(BIO_read(memory.pointer, buffer.baseAddress, Int32(count))))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func read(
    _ text: [UInt8], _ what: String, _ read: (OpaquePointer) -> OpaquePointer?,
    free: @escaping @Sendable (OpaquePointer) -> Void
  ) throws(CertificateError) -> Owned {
    ERR_clear_error()
    // A memory BIO reads from the bytes themselves: it is gone before they are.
    let made = text.withUnsafeBytes { bytes -> OpaquePointer? in
      guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else { return nil }
      defer { BIO_free(bio) }
      return read(bio)
    }
    return try Owned(made, what, free: free)
  }
}

/// Keys are not behind a passphrase: nobody is there to type one. libcrypto would ask the terminal.
private func noPassphrase(
  _ place: UnsafeMutablePointer<CChar>?, _ size: Int32, _ isForWriting: Int32,
  _ context: UnsafeMutableRawPointer?
) -> Int32 { -1 }

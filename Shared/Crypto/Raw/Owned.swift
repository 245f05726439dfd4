import COpenSSL

/// An object of libcrypto with the one who frees it.
struct Owned: ~Copyable {
  let pointer: OpaquePointer
  private let free: @Sendable (OpaquePointer) -> Void

  /// - Throws: what libcrypto says, where it made none.
  init(
    _ made: OpaquePointer?, _ what: String, free: @escaping @Sendable (OpaquePointer) -> Void
  ) throws(CertificateError) {
    guard let made else { throw .library(what) }
    (pointer, self.free) = (made, free)
  }

  deinit { free(pointer) }
}

extension CertificateError {
  /// What failed, with libcrypto's newest reason; its queue of errors is empty then.
  static func library(_ what: String) -> CertificateError {
    let code = ERR_peek_last_error()
    ERR_clear_error()
    guard code != 0, let reason = ERR_reason_error_string(code) else { return CertificateError(what) }
    return CertificateError("\(what): \(String(cString: reason))")
  }
}

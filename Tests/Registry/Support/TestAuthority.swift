import Crypto
import Foundation
import TestSupport

@testable import RegistryService

/// An authority for the certificates of devices, and what a device asks it.
enum TestAuthority {
  private struct Made {
    let tool: OpenSSL
    let authority: CertificateAuthority
    let request: String

    init() throws {
      tool = try OpenSSL()
      try tool.makeAuthority()
      try tool.makeRequest("device", key: "ec -pkeyopt ec_paramgen_curve:prime256v1", subject: "/CN=any")
      authority = try CertificateAuthority(
        chain: try tool.text("ca.pem"), privateKey: try tool.text("ca.key"))
      request = try tool.text("device.csr")
    }
  }

  private static let made = Result { try Made() }

  static func certification() throws -> DeviceCertification {
    DeviceCertification(authority: try made.get().authority, days: 1)
  }

  /// A request in PEM; empty if the tool could not make one.
  static let request = (try? made.get().request) ?? ""
  static func tool() throws -> OpenSSL { try made.get().tool }
}

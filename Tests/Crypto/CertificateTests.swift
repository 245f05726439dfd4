import Crypto
import Foundation
import TestSupport
import Testing

@Suite("Certificates of devices", .enabled(if: OpenSSL.isThere))
struct CertificateTests {
  private static let now = Date(timeIntervalSince1970: Date.now.timeIntervalSince1970.rounded())

  private func authority(_ tool: OpenSSL) throws -> CertificateAuthority {
    try CertificateAuthority(chain: try tool.text("ca.pem"), privateKey: try tool.text("ca.key"))
  }

  @Test(
    "what is signed verifies as a client's, with the given name and the key of the request",
    arguments: ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:prime256v1", "ed25519"],
    ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:secp384r1", "ed25519"])
  func signs(_ authorityKey: String, _ deviceKey: String) throws {
    let tool = try OpenSSL()
    try tool.makeAuthority(key: authorityKey)
    try tool.makeRequest("d", key: deviceKey, subject: "/CN=somebody-else/O=Any")
    let request = try CertificateSigningRequest(pemEncoded: try tool.text("d.csr"))
    let made = try authority(tool).issue(
      to: request, commonName: "00112233aabbccdd", notBefore: Self.now - 60, notAfter: Self.now + 3600)
    try made.pem.write(toFile: tool.path("d.pem"), atomically: true, encoding: .utf8)
    #expect(try tool.run("verify -purpose sslclient -x509_strict -CAfile ca.pem d.pem") == "d.pem: OK\n")
    #expect(try tool.run("x509 -in d.pem -noout -subject") == "subject=CN = 00112233aabbccdd\n")
    #expect(try tool.run("x509 -in d.pem -noout -pubkey") == tool.run("pkey -in d.key -pubout"))
    let serial = made.serialNumber.map { String(format: "%02X", $0) }.joined()
    #expect(try tool.run("x509 -in d.pem -noout -serial") == "serial=\(serial)\n")
    #expect(made.notBefore == Self.now - 60 && made.notAfter == Self.now + 3600)
    #expect(throws: TestSupportError.self, "it is no server's") {
      try tool.run("verify -purpose sslserver -CAfile ca.pem d.pem")
    }
  }

  @Test("serial numbers differ, and none outlives its authority")
  func ends() throws {
    let tool = try OpenSSL()
    try tool.makeAuthority()
    try tool.makeRequest("d", subject: "/CN=d")
    let authority = try authority(tool)
    let request = try CertificateSigningRequest(pemEncoded: try tool.text("d.csr"))
    let made = try (0..<20).map { _ in
      try authority.issue(to: request, commonName: "d", notBefore: Self.now, notAfter: Self.now + 864_000)
    }
    #expect(Set(made.map(\.serialNumber)).count == 20)
    #expect(made.allSatisfy { $0.notAfter == authority.notAfter && $0.serialNumber[0] & 0x80 == 0 })
  }

  @Test(
    "weak keys and others are not taken",
    arguments: ["rsa:1024", "ec -pkeyopt ec_paramgen_curve:secp256k1", "ed448"])
  func keys(_ key: String) throws {
    let tool = try OpenSSL()
    try tool.makeRequest("d", key: key, subject: "/CN=d")
    let text = try tool.text("d.csr")
    #expect(throws: CertificateError.self) { try CertificateSigningRequest(pemEncoded: text) }
  }

  @Test("a request that another key has signed, and what is none, are refused")
  func requests() throws {
    let tool = try OpenSSL()
    try tool.makeRequest("d", key: "ec -pkeyopt ec_paramgen_curve:prime256v1", subject: "/CN=d")
    let lines = try tool.text("d.csr").split(separator: "\n")
    var der = try #require(Data(base64Encoded: lines[1..<(lines.count - 1)].joined()))
    der[der.count - 1] ^= 1
    let forged = ([String(lines[0]), der.base64EncodedString(), String(lines[lines.count - 1])] + [""])
      .joined(separator: "\n")
    let texts = [
      forged, "", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "x",
      try tool.text("d.key"), String(repeating: "A", count: CertificateSigningRequest.maximumSize + 1),
    ]
    for text in texts {
      #expect(throws: CertificateError.self) { try CertificateSigningRequest(pemEncoded: text) }
    }
  }

  @Test("an authority needs its own key, and a certificate that may sign")
  func authorities() throws {
    let tool = try OpenSSL()
    try tool.makeAuthority()
    try tool.makeAuthority("other")
    try tool.makeRequest("d", subject: "/CN=d")
    try tool.run("x509 -req -in d.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out d.pem")
    for (chain, key) in [
      ("ca.pem", "other.key"), ("d.pem", "d.key"), ("ca.key", "ca.key"), ("ca.pem", "ca.pem"),
    ] {
      let (chain, key) = (try tool.text(chain), try tool.text(key))
      #expect(throws: CertificateError.self) { try CertificateAuthority(chain: chain, privateKey: key) }
    }
    try tool.run("rsa -aes128 -passout pass:secret -in ca.key -out locked.key")
    let (chain, key) = (try tool.text("ca.pem"), try tool.text("locked.key"))
    #expect(throws: CertificateError.self, "nobody is asked for a passphrase") {
      try CertificateAuthority(chain: chain, privateKey: key)
    }
  }
}

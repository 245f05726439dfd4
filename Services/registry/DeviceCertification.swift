import Crypto
import FoundationEssentials
import RegistryDomain
import Runtime

/// How devices get certificates, where the installation has an authority for them.
public struct DeviceCertification: Sendable {
  let authority: CertificateAuthority
  /// How long a certificate counts.
  let lifetime: TimeInterval

  init(authority: CertificateAuthority, days: Int) {
    (self.authority, lifetime) = (authority, Double(days) * 86_400)
  }

  /// Signs one for a device.
  /// - Throws: 503 where the authority itself has ended.
  func certificate(
    for device: Device, _ request: CertificateSigningRequest, at now: Date
  ) throws -> (certificate: Certificate, record: DeviceCertificate) {
    guard authority.notAfter > now else {
      throw Problem(
        503, "The authority's own certificate has ended: it must be renewed first (device-ca-certificate).")
    }
    let certificate = try authority.issue(
      to: request, commonName: device.deviceId, notBefore: now - DeviceCertificate.leeway,
      notAfter: now + lifetime)
    let record = DeviceCertificate(
      serialNumber: certificate.serialNumber.hex, device: device.id, deviceId: device.deviceId,
      organisationId: device.organisationId, notBefore: certificate.notBefore, notAfter: certificate.notAfter)
    return (certificate, record)
  }
}

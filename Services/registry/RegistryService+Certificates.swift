import Crypto
import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Wire

extension RegistryService {
  /// What a device gets.
  struct IssuedCertificate: Sendable {
    let certificate: String
    let chain: String
    let record: DeviceCertificate
  }

  /// Signs a certificate for a device, beside those that it has: a device changes to a new one while the old still counts.
  /// - Throws: 404; 409 for one that has too many; 503 where there is no authority.
  func issueCertificate(
    for reference: String, _ request: CertificateSigningRequest, in scope: UUID?,
    _ once: Once<IssuedCertificate>,
    _ context: RequestContext
  ) async throws -> IssuedCertificate {
    let certification = try needed()
    return try await change(once) { connection in
      let device = try await locked(reference, in: scope, connection)
      let table = CertificateTable(database: connection)
      let now = Date.now.wholeMilliseconds
      guard try await table.count(of: device.id, at: now) < DeviceCertificate.maximumCount else {
        throw Problem.conflict(
          "The device has \(DeviceCertificate.maximumCount) certificates, which is the most: revoke them first."
        )
      }
      let (certificate, record) = try certification.certificate(for: device, request, at: now)
      try await table.insert(record, at: now, by: context.principal.name)
      return Change(
        answer: IssuedCertificate(
          certificate: certificate.pem, chain: certification.authority.chain, record: record),
        records: [record.event(isRevoked: false, context, at: now)])
    }
  }

  /// Revokes all certificates of a device.
  /// - Throws: 404 also for a device that has none.
  func revokeCertificates(of reference: String, in scope: UUID?, _ context: RequestContext) async throws {
    try await change { connection in
      let device = try await locked(reference, in: scope, connection)
      let records = try await revokeCertificates(of: device.id, context, on: connection)
      if records.isEmpty { throw Problem.notFound("certificate of this device") }
      return Change(answer: (), records: records)
    }
  }

  /// The same within a change that ends the device.
  /// - Returns: what tells of it.
  func revokeCertificates(
    of device: UUID, _ context: RequestContext, on connection: PostgresConnection
  ) async throws -> [Event] {
    let now = Date.now.wholeMilliseconds
    return try await CertificateTable(database: connection)
      .revoke(device, at: now, by: context.principal.name)
      .map { $0.event(isRevoked: true, context, at: now) }
  }

  private func needed() throws -> DeviceCertification {
    guard let certification else {
      throw Problem(
        503,
        "This installation signs no certificates: give the registry device-ca-certificate and device-ca-key.")
    }
    return certification
  }
}

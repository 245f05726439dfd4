import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// The certificates of devices in the database. The device is held by those who change them.
struct CertificateTable: Sendable {
  let database: any Querying

  private static let columns = "serial_number, device, device_id, organisation_id, not_before, not_after"

  private static func read(_ row: PostgresRow) throws -> DeviceCertificate {
    DeviceCertificate(
      serialNumber: try row["serial_number"].decode(String.self), device: try row["device"].decode(UUID.self),
      deviceId: try row["device_id"].decode(String.self),
      organisationId: try row["organisation_id"].decode(UUID.self),
      notBefore: try row["not_before"].decode(Date.self), notAfter: try row["not_after"].decode(Date.self))
  }

  /// How many of a device still count.
  func count(of device: UUID, at time: Date) async throws -> Int {
    Int(
      try await database.query(
        """
        SELECT count(*) FROM device_certificate
        WHERE device = \(device) AND revoked_at IS NULL AND not_after > \(time)
        """
      ).first?.decode(Int64.self) ?? 0)
  }

  func insert(_ certificate: DeviceCertificate, at time: Date, by author: String) async throws {
    try await database.query(
      """
      INSERT INTO device_certificate (\(unescaped: Self.columns), created_at, created_by)
      VALUES (\(certificate.serialNumber), \(certificate.device), \(certificate.deviceId),
        \(certificate.organisationId), \(certificate.notBefore), \(certificate.notAfter), \(time), \(author))
      """)
  }

  /// Revokes those of a device that still count.
  func revoke(_ device: UUID, at time: Date, by author: String) async throws -> [DeviceCertificate] {
    try await database.query(
      """
      UPDATE device_certificate SET revoked_at = \(time), revoked_by = \(author)
      WHERE device = \(device) AND revoked_at IS NULL AND not_after > \(time)
      RETURNING \(unescaped: Self.columns)
      """
    ).map(Self.read)
  }
}

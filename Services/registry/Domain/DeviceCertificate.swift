import FoundationEssentials
import Wire

/// That a device may connect with a key of its own until a certain day. The certificate itself is only shown to who asked
/// for it: what counts is its serial number.
public struct DeviceCertificate: Sendable, Equatable {
  /// Lower-case hex.
  public let serialNumber: String
  /// The device's record id.
  public let device: UUID
  /// What the certificate calls it.
  public let deviceId: String
  public let organisationId: UUID
  public let notBefore: Date
  public let notAfter: Date

  /// So many a device may have at a time: a new one while the old still counts, and some that were lost.
  public static let maximumCount = 10
  /// How far the clocks of devices may be behind when they get it.
  public static let leeway: TimeInterval = 3600

  public init(
    serialNumber: String, device: UUID, deviceId: String, organisationId: UUID, notBefore: Date,
    notAfter: Date
  ) {
    (self.serialNumber, self.device, self.deviceId) = (serialNumber, device, deviceId)
    (self.organisationId, self.notBefore, self.notAfter) = (organisationId, notBefore, notAfter)
  }

  public var json: JSON {
    [
      "serialNumber": .string(serialNumber), "notBefore": .string(notBefore.rfc3339),
      "notAfter": .string(notAfter.rfc3339),
    ]
  }
}

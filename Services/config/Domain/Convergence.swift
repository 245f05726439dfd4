import Wire

/// How far one device is with one slot, and why it is not there yet.
public struct SlotState: Sendable, Hashable {
  public enum Status: String, Sendable, CaseIterable {
    /// The device has not reported on the desired version.
    case pending = "PENDING"
    case inProgress = "IN_PROGRESS"
    /// The desired version, with the desired hash, is in force.
    case accepted = "ACCEPTED"
    case rejected = "REJECTED"
    case failed = "FAILED"
  }

  public enum Reason: String, Sendable, CaseIterable {
    /// The device is not connected, as far as anybody knows.
    case offline
    /// The broker does not have the document yet.
    case notDelivered
    /// The broker has the document; the device has said nothing of this slot.
    case noReport
    /// The device said that it will not have it.
    case rejected
    /// The device tried and could not.
    case failed
    /// The device has something else under this version.
    case hashMismatch
    /// The last report is on another version.
    case superseded
  }

  /// The last report on a slot, held against what is desired.
  public struct Observation: Sendable, Hashable {
    public let status: ReportedSlot.Status
    public let isDesiredVersion: Bool
    public let isDesiredHash: Bool

    public init(status: ReportedSlot.Status, isDesiredVersion: Bool, isDesiredHash: Bool) {
      (self.status, self.isDesiredVersion, self.isDesiredHash) = (status, isDesiredVersion, isDesiredHash)
    }
  }

  public let status: Status
  public let reason: Reason?

  public init(_ status: Status, _ reason: Reason? = nil) { (self.status, self.reason) = (status, reason) }

  /// The one place where status and reason come from: single devices and fleet numbers alike.
  ///
  /// A report on the desired version is better evidence than the broker's confirmation, which it may overtake. What the broker
  /// does not have is our fault; then it is the device's not being there, then its silence.
  public init(isDelivered: Bool, isOnline: Bool, report: Observation?) {
    guard let report, report.isDesiredVersion else {
      let silence = report == nil ? Reason.noReport : .superseded
      self.init(.pending, !isDelivered ? .notDelivered : isOnline ? silence : .offline)
      return
    }
    switch (report.status, report.isDesiredHash) {
    case (.inProgress, _): self.init(.inProgress, isOnline ? nil : .offline)
    case (.accepted, true): self.init(.accepted)
    case (.accepted, false): self.init(.failed, .hashMismatch)
    case (.rejected, _): self.init(.rejected, .rejected)
    case (.failed, _): self.init(.failed, .failed)
    }
  }
}

/// How many devices or components are how far.
public struct Convergence: Sendable, Equatable {
  private var counts: [SlotState.Status: Int] = [:]
  /// How long it took half of those that have it, and 95 of 100: from when the content came into their documents until they had
  /// accepted it. Nil while nobody has.
  public var medianSeconds: Double?
  public var slowSeconds: Double?

  public init() {}

  /// Counts so many that are so far.
  public mutating func add(_ status: SlotState.Status, count: Int = 1) { counts[status, default: 0] += count }

  public subscript(_ status: SlotState.Status) -> Int { counts[status] ?? 0 }
  public var total: Int { counts.values.reduce(0, +) }
}

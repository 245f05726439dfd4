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
  /// A report on the desired version is better evidence than the broker's confirmation, which it may overtake.
  public init(isDelivered: Bool, report: Observation?) {
    guard let report else {
      self.init(.pending, isDelivered ? .noReport : .notDelivered)
      return
    }
    switch (report.status, report.isDesiredVersion, report.isDesiredHash) {
    case (_, false, _): self.init(.pending, isDelivered ? .superseded : .notDelivered)
    case (.inProgress, true, _): self.init(.inProgress)
    case (.accepted, true, true): self.init(.accepted)
    case (.accepted, true, false): self.init(.failed, .hashMismatch)
    case (.rejected, true, _): self.init(.rejected, .rejected)
    case (.failed, true, _): self.init(.failed, .failed)
    }
  }
}

/// How many devices or components are how far.
public struct Convergence: Sendable, Equatable {
  private var counts: [SlotState.Status: Int] = [:]

  public init() {}

  /// Counts so many that are in this state.
  public mutating func add(_ state: SlotState, count: Int = 1) { counts[state.status, default: 0] += count }

  public subscript(_ status: SlotState.Status) -> Int { counts[status] ?? 0 }
  public var total: Int { counts.values.reduce(0, +) }
}

import FoundationEssentials
import Wire

/// One slot of a device's document, with what the device last said of it.
public struct DesiredSlot: Sendable, Equatable {
  public var bindingId: UUID
  public let artefact: ArtefactReference
  /// The revision in which this artefact came into the document.
  public let since: Int64
  public var report: Report?

  public init(bindingId: UUID, artefact: ArtefactReference, since: Int64, report: Report?) {
    (self.bindingId, self.artefact, self.since, self.report) = (bindingId, artefact, since, report)
  }
}

/// What a device said of a slot, and when.
public struct Report: Sendable, Equatable {
  public let slot: ReportedSlot
  public let at: Date

  public init(slot: ReportedSlot, at: Date) { (self.slot, self.at) = (slot, at) }
}

/// How far a document is on its way to the broker.
public struct Delivery: Sendable, Equatable {
  /// The newest revision that the broker has.
  public var publishedRevision: Int64 = 0
  public var publishedAt: Date?
  /// How often the current revision was put on its way again.
  public var attempts = 0
  /// When it is to be put on its way again; nil once the broker has it.
  public var nextAttemptAt: Date?

  public init() {}

  /// How long to wait for the broker's confirmation: 5 s, doubled with each attempt, at most 5 minutes.
  public static func patience(attempts: Int) -> TimeInterval { min(5 * pow2(attempts), 300) }

  /// Whether it became due again after that time and has not been put on its way since: what was seen before says
  /// nothing of it.
  func isWaiting(since time: Date) -> Bool {
    guard let nextAttemptAt, attempts == 0 else { return false }
    return time < nextAttemptAt - Self.patience(attempts: 0)
  }

  private static func pow2(_ exponent: Int) -> Double { Double(1 << min(max(exponent, 0), 10)) }
}

/// All that one device should have, and how far it is: the aggregate that every change of a device's configuration
/// goes through. Its methods decide; the caller carries their effects out.
public struct DeviceConfiguration: Sendable, Equatable {
  /// What a decision asks of the caller.
  public enum Effect: Sendable, Equatable {
    /// Put the current document on its way to the broker.
    case send
    /// Tell others what happened.
    case tell(Happening)
  }

  /// What happened to a device's configuration.
  public struct Happening: Sendable, Equatable {
    public enum What: Sendable, Equatable {
      /// There is a new document.
      case documentChanged(revision: Int64)
      /// The broker has the document.
      case documentPublished(revision: Int64)
      /// The device said something of a slot.
      case reported(path: String, DesiredSlot, SlotState)
    }
    /// Grows by one with each happening of the device.
    public let rev: Int64
    public let at: Date
    public let what: What
  }

  public let deviceId: String
  /// The device's record id.
  public let recordId: UUID
  public let organisationId: UUID
  /// The document's revision: 0 before the first document; it only grows.
  public private(set) var revision: Int64
  public private(set) var rev: Int64
  public private(set) var delivery: Delivery
  /// By path: the slot, or `component/slot`.
  public private(set) var slots: [String: DesiredSlot]

  public init(
    deviceId: String, recordId: UUID, organisationId: UUID, revision: Int64 = 0, rev: Int64 = 0,
    delivery: Delivery = Delivery(), slots: [String: DesiredSlot] = [:]
  ) {
    (self.deviceId, self.recordId, self.organisationId) = (deviceId, recordId, organisationId)
    (self.revision, self.rev, self.delivery, self.slots) = (revision, rev, delivery, slots)
  }

  /// How far the device is with a slot of its document.
  public func state(of slot: DesiredSlot) -> SlotState {
    SlotState(
      isDelivered: delivery.publishedRevision >= slot.since,
      report: slot.report.map {
        SlotState.Observation(
          status: $0.slot.status, isDesiredVersion: $0.slot.version == slot.artefact.version,
          isDesiredHash: $0.slot.sha256 == slot.artefact.sha256)
      })
  }

  /// The bindings that win are these now: a new revision if that changes what the device should have.
  public mutating func settle(_ winners: [String: Candidate], at now: Date) -> [Effect] {
    let before = slots.mapValues(\.artefact)
    slots = winners.reduce(into: [:]) { slots, winner in
      let (path, candidate) = winner
      let present = self.slots[path]
      let since = present.flatMap { $0.artefact == candidate.artefact ? $0.since : nil } ?? revision + 1
      slots[path] = DesiredSlot(
        bindingId: candidate.bindingId, artefact: candidate.artefact, since: since, report: present?.report)
    }
    guard slots.mapValues(\.artefact) != before else { return [] }
    revision += 1
    delivery.attempts = 0
    delivery.nextAttemptAt = now + Delivery.patience(attempts: 0)
    return [.send, happened(.documentChanged(revision: revision), at: now)]
  }

  /// The broker keeps that revision since then. The same may be told twice, and late.
  ///
  /// An older one after a newer: a bridge that had slept with it in hand wrote it last. It is sent again, a little
  /// later, since a batch that is repeated ends with the newest by itself.
  public mutating func published(_ published: Int64, at now: Date) -> [Effect] {
    guard published <= revision else { return [] }
    let isNews = published > delivery.publishedRevision
    if published < delivery.publishedRevision {
      delivery.attempts = 0
      delivery.nextAttemptAt = delivery.nextAttemptAt ?? now + Delivery.patience(attempts: 0)
    } else if published == revision, isNews || !delivery.isWaiting(since: now) {
      delivery.attempts = 0
      delivery.nextAttemptAt = nil
    }
    guard isNews else { return [] }
    delivery.publishedRevision = published
    delivery.publishedAt = now
    return [happened(.documentPublished(revision: published), at: now)]
  }

  /// The device said this of a slot. What is not in its document is none of our business, and a repeat is no news.
  public mutating func reported(_ path: String, _ report: Report) -> [Effect] {
    guard var slot = slots[path], slot.report?.slot != report.slot else { return [] }
    // A redelivered beginning may come after the end of the same; a device that begins anew ends anew.
    if report.slot.status == .inProgress, let known = slot.report?.slot, known.status != .inProgress,
      known.version == report.slot.version, known.sha256 == report.slot.sha256
    {
      return []
    }
    slot.report = report
    slots[path] = slot
    return [happened(.reported(path: path, slot, state(of: slot)), at: report.at)]
  }

  /// The broker has not confirmed the document in time, or may have forgotten it.
  public mutating func sendAgain(at now: Date) -> [Effect] {
    delivery.attempts += 1
    delivery.nextAttemptAt = now + Delivery.patience(attempts: delivery.attempts)
    return [.send]
  }

  private mutating func happened(_ what: Happening.What, at now: Date) -> Effect {
    rev += 1
    return .tell(Happening(rev: rev, at: now, what: what))
  }
}

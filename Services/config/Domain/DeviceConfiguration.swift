import FoundationEssentials
import Wire

/// One slot of a device's document, with what the device last said of it.
public struct DesiredSlot: Sendable, Equatable {
  public var bindingId: UUID
  public let artefact: ArtefactReference
  /// The revision in which this content came into the document.
  public let since: Int64
  /// When it did.
  public let sinceAt: Date
  /// The version under which the device knows this content, where it has come by another binding since under another
  /// version: the same hash is not sent again.
  public let knownVersion: Int?
  public var report: Report?
  /// When the device was first known to have it: accepted, with the right hash.
  public var convergedAt: Date?

  public init(
    bindingId: UUID, artefact: ArtefactReference, since: Int64, sinceAt: Date, knownVersion: Int? = nil,
    report: Report? = nil, convergedAt: Date? = nil
  ) {
    (self.bindingId, self.artefact, self.since, self.sinceAt) = (bindingId, artefact, since, sinceAt)
    (self.knownVersion, self.report, self.convergedAt) = (knownVersion, report, convergedAt)
  }

  /// What the report says of what is desired.
  ///
  /// Versions count by profile: where the slot's profile has changed, an old report may have the new one's number. With
  /// another hash it counts only if it came since.
  public var observation: SlotState.Observation? {
    report.map {
      let isHash = $0.slot.sha256 == artefact.sha256
      return SlotState.Observation(
        status: $0.slot.status,
        isDesiredVersion: $0.slot.version == artefact.version && (isHash || $0.at >= sinceAt)
          || isHash && $0.slot.version == knownVersion,
        isDesiredHash: isHash)
    }
  }

  /// How far the device is, whatever is known of the way to it.
  public var status: SlotState.Status {
    SlotState(isDelivered: true, isOnline: true, report: observation).status
  }

  /// The same slot by the binding that has won now, in a document of that revision.
  func replaced(by winner: Candidate, revision: Int64, at now: Date) -> DesiredSlot {
    guard winner.artefact.sha256 == artefact.sha256 else {
      return DesiredSlot(
        bindingId: winner.bindingId, artefact: winner.artefact, since: revision, sinceAt: now, report: report)
    }
    let known =
      observation?.isDesiredVersion == true ? report?.slot.version : knownVersion ?? artefact.version
    return DesiredSlot(
      bindingId: winner.bindingId, artefact: winner.artefact, since: since, sinceAt: sinceAt,
      knownVersion: known == winner.artefact.version ? nil : known, report: report, convergedAt: convergedAt)
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
  /// When the broker last confirmed the current revision.
  public var confirmedAt: Date?
  /// How often the current revision was put on its way again.
  public var attempts = 0
  /// When it is to be put on its way again; nil once the broker has it.
  public var nextAttemptAt: Date?

  public init() {}

  /// How long to wait for the broker's confirmation: 5 s, doubled with each attempt, at most 5 minutes.
  public static func patience(attempts: Int) -> TimeInterval { min(5 * pow2(attempts), 300) }

  /// For so long a broker that has stopped may have lost what it confirmed (Mosquitto saves its retained messages each half
  /// hour), and for so long nobody asks whether it has.
  public static let trust: TimeInterval = 3600

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
    case tell(ConfigurationEvent)
  }

  /// What happened to a device's configuration.
  public struct ConfigurationEvent: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
      /// There is a new document.
      case documentChanged(revision: Int64)
      /// The broker has the document.
      case documentPublished(revision: Int64)
      /// The device said something of a slot.
      case reported(path: String, DesiredSlot, SlotState)
      /// The device has what it should have in that slot.
      case converged(path: String, DesiredSlot)
    }
    /// Grows by one with each event of the device.
    public let rev: Int64
    public let at: Date
    public let kind: Kind
  }

  public let deviceId: String
  /// The device's record id.
  public let recordId: UUID
  public let organisationId: UUID
  /// The document's revision: 0 before the first document; it only grows.
  public private(set) var revision: Int64
  public private(set) var rev: Int64
  /// The revision of the device's record in the registry by which this was resolved.
  public private(set) var resolvedRev: Int64
  public private(set) var delivery: Delivery
  /// By path: the slot, or `component/slot`.
  public private(set) var slots: [String: DesiredSlot]

  public init(
    deviceId: String, recordId: UUID, organisationId: UUID, revision: Int64 = 0, rev: Int64 = 0,
    resolvedRev: Int64 = 0, delivery: Delivery = Delivery(), slots: [String: DesiredSlot] = [:]
  ) {
    (self.deviceId, self.recordId, self.organisationId) = (deviceId, recordId, organisationId)
    (self.revision, self.rev, self.resolvedRev) = (revision, rev, resolvedRev)
    (self.delivery, self.slots) = (delivery, slots)
  }

  /// How far the device is with a slot of its document.
  /// - Parameter isOnline: whether the device is connected, as far as anybody knows.
  public func state(of slot: DesiredSlot, isOnline: Bool) -> SlotState {
    SlotState(
      isDelivered: delivery.publishedRevision >= slot.since, isOnline: isOnline, report: slot.observation)
  }

  /// The bindings that win are these now: a new revision if that changes what the device should have.
  ///
  /// Never by an older record of the device than before: a copy of the registry that is read once more begins with what
  /// long is no more.
  /// - Parameter rev: of the device's record by which they were found.
  public mutating func settle(_ winners: [String: Candidate], by rev: Int64, at now: Date) -> [Effect] {
    guard rev >= resolvedRev else { return [] }
    resolvedRev = rev
    let before = slots.mapValues(\.artefact.sha256)
    let next = revision + 1
    slots = winners.reduce(into: [:]) { slots, winner in
      let (path, candidate) = winner
      slots[path] =
        self.slots[path]?.replaced(by: candidate, revision: next, at: now)
        ?? DesiredSlot(
          bindingId: candidate.bindingId, artefact: candidate.artefact, since: next, sinceAt: now)
    }
    guard slots.mapValues(\.artefact.sha256) != before else { return [] }
    revision = next
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
    } else if published == revision {
      delivery.confirmedAt = max(now, delivery.confirmedAt ?? now)
      if isNews || !delivery.isWaiting(since: now) {
        delivery.attempts = 0
        delivery.nextAttemptAt = nil
      }
    }
    guard isNews else { return [] }
    delivery.publishedRevision = published
    delivery.publishedAt = now
    return [happened(.documentPublished(revision: published), at: now)]
  }

  /// The device said this of a slot, and the newest word counts, also IN_PROGRESS after ACCEPTED. What is not in its document is
  /// none of our business, and a repeat is no news.
  public mutating func reported(_ path: String, _ report: Report) -> [Effect] {
    guard var slot = slots[path], slot.report?.slot != report.slot else { return [] }
    // A bridge that had slept may repeat a beginning behind the end of the same (decision 13): it had read it before.
    if report.slot.status == .inProgress, let known = slot.report, report.at < known.at,
      known.slot.version == report.slot.version, known.slot.sha256 == report.slot.sha256
    {
      return []
    }
    slot.report = report
    let isNew = slot.convergedAt == nil && slot.status == .accepted
    if isNew { slot.convergedAt = max(report.at, slot.sinceAt) }
    slots[path] = slot
    // Who reports is there.
    let told = happened(.reported(path: path, slot, state(of: slot, isOnline: true)), at: report.at)
    return isNew ? [told, happened(.converged(path: path, slot), at: report.at)] : [told]
  }

  /// The device has come, and should have something that it has said nothing of. Its document goes once more if the broker
  /// confirmed it long ago: it may have lost it while nobody looked.
  public mutating func came(at now: Date) -> [Effect] {
    guard revision > 0, delivery.nextAttemptAt == nil,
      delivery.confirmedAt.map({ $0 < now - Delivery.trust }) ?? true,
      slots.values.contains(where: { $0.status == .pending || $0.status == .inProgress })
    else { return [] }
    return sendAgain(at: now)
  }

  /// The broker has not confirmed the document in time, or may have forgotten it.
  public mutating func sendAgain(at now: Date) -> [Effect] {
    delivery.attempts += 1
    delivery.nextAttemptAt = now + Delivery.patience(attempts: delivery.attempts)
    return [.send]
  }

  /// The document is too large to be sent. What it should hold is decided all the same: it waits until it is otherwise, and the
  /// device keeps what it has.
  public mutating func cannotBeSent() { delivery.nextAttemptAt = nil }

  /// Whether that is so of the current one.
  public var isTooLarge: Bool {
    !slots.isEmpty && revision > delivery.publishedRevision && delivery.nextAttemptAt == nil
  }

  private mutating func happened(_ kind: ConfigurationEvent.Kind, at now: Date) -> Effect {
    rev += 1
    return .tell(ConfigurationEvent(rev: rev, at: now, kind: kind))
  }
}

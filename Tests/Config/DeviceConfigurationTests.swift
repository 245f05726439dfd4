import ConfigDomain
import FoundationEssentials
import Testing
import Wire

@Suite struct DeviceConfigurationTests {
  private let now = Date(timeIntervalSince1970: 1_800_000_000)

  @Test func aNewArtefactIsANewRevision() {
    var device = device()
    let v1 = candidate(version: 1)
    #expect(tells(device.settle(["wifi": v1], by: 1, at: now)) == [.documentChanged(revision: 1)])
    #expect(device.settle(["wifi": v1], by: 1, at: now).isEmpty, "nothing has changed")
    #expect(device.settle(["wifi": candidate(version: 2)], by: 1, at: now).contains(.send))
    #expect(device.revision == 2)
    #expect(device.settle([:], by: 1, at: now).contains(.send), "without the slot is a document too")
    #expect(device.revision == 3)
    #expect(device.slots.isEmpty)
    #expect(device.rev == 3)
  }

  @Test func anotherBindingOfTheSameArtefactIsNoNewRevision() {
    var device = device()
    let first = candidate(version: 1)
    _ = device.settle(["wifi": first], by: 1, at: now)
    let second = Some.candidate(.deviceGroup, artefact: first.artefact)
    #expect(device.settle(["wifi": second], by: 1, at: now).isEmpty)
    #expect(device.slots["wifi"]?.bindingId == second.bindingId)
    #expect(device.revision == 1)
  }

  @Test func aSlotIsDeliveredOnlyWithTheRevisionThatBroughtIt() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    let both = ["wifi": device.slots["wifi"].map { again($0) }, "mesh": candidate(version: 1)]
      .compactMapValues { $0 }
    _ = device.settle(both, by: 1, at: now)
    #expect(tells(device.published(1, at: now)) == [.documentPublished(revision: 1)])
    #expect(state(device, "wifi") == SlotState(.pending, .noReport))
    #expect(state(device, "mesh") == SlotState(.pending, .notDelivered))
    #expect(device.delivery.nextAttemptAt != nil, "revision 2 is still on its way")
    _ = device.published(2, at: now)
    #expect(state(device, "mesh") == SlotState(.pending, .noReport))
    #expect(device.delivery.nextAttemptAt == nil)
  }

  @Test func confirmationsAreTakenOnceAndNeverBackwards() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    _ = device.settle(["wifi": candidate(version: 2)], by: 1, at: now)
    #expect(device.published(3, at: now).isEmpty, "there is no such revision")
    #expect(!device.published(2, at: now).isEmpty)
    #expect(device.published(2, at: now + 1).isEmpty)
    #expect(device.published(1, at: now + 1).isEmpty)
    #expect(device.delivery.publishedRevision == 2)
    #expect(device.delivery.publishedAt == now)
  }

  @Test func whatWentBackAtTheBrokerIsSentAgain() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    _ = device.settle(["wifi": candidate(version: 2)], by: 1, at: now)
    _ = device.published(2, at: now)
    #expect(device.delivery.nextAttemptAt == nil)
    #expect(device.published(1, at: now + 60).isEmpty, "others are told nothing")
    #expect(device.delivery.nextAttemptAt == now + 65)
    _ = device.published(2, at: now + 59)
    #expect(device.delivery.nextAttemptAt == now + 65, "it was there before it went back")
    #expect(device.sendAgain(at: now + 65) == [.send])
    _ = device.published(2, at: now + 66)
    #expect(device.delivery.nextAttemptAt == nil)
    // A batch that is repeated brings the old one and then the new one.
    _ = device.published(1, at: now + 70)
    _ = device.published(2, at: now + 70)
    #expect(device.delivery.nextAttemptAt == nil)
  }

  @Test func anUnconfirmedDocumentIsSentAgainWithLongerAndLongerPauses() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    var pauses: [TimeInterval] = []
    for _ in 0..<8 {
      pauses.append(device.delivery.nextAttemptAt?.timeIntervalSince(now) ?? 0)
      #expect(device.sendAgain(at: now) == [.send])
    }
    #expect(pauses == [5, 10, 20, 40, 80, 160, 300, 300])
    _ = device.published(1, at: now)
    #expect(device.delivery.nextAttemptAt == nil)
    #expect(device.revision == 1, "sending again is no change")
  }

  @Test func reportsAreHeldAgainstWhatIsDesired() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 2)], by: 1, at: now)
    #expect(device.reported("mesh", report(1, .accepted)).isEmpty, "not in its document")
    let accepted = report(2, .accepted)
    #expect(device.reported("wifi", accepted).count == 2, "reported, and converged")
    #expect(device.slots["wifi"]?.convergedAt == now)
    #expect(state(device, "wifi") == SlotState(.accepted))
    #expect(device.reported("wifi", Report(slot: accepted.slot, at: now + 9)).isEmpty, "a repeat is no news")
    #expect(device.slots["wifi"]?.report?.at == now)
    _ = device.reported("wifi", report(2, .accepted, hash: "other"))
    #expect(state(device, "wifi") == SlotState(.failed, .hashMismatch))
    _ = device.reported("wifi", report(1, .accepted))
    #expect(state(device, "wifi") == SlotState(.pending, .notDelivered))
  }

  @Test func aReportLastsOverTheNextVersionAndGoesWithTheSlot() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    _ = device.reported("wifi", report(1, .accepted))
    _ = device.settle(["wifi": candidate(version: 2)], by: 1, at: now)
    _ = device.published(2, at: now)
    #expect(state(device, "wifi") == SlotState(.pending, .superseded))
    _ = device.settle([:], by: 1, at: now)
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    _ = device.published(4, at: now)
    #expect(
      state(device, "wifi") == SlotState(.pending, .noReport), "the device may have dropped it meanwhile")
  }

  /// Versions count by profile: what was said of version 1 of the old board's slot says nothing of the new board's.
  @Test func anotherProfilesVersionIsNotThisOne() {
    var device = device()
    _ = device.settle(["wifi": candidate(version: 1)], by: 1, at: now)
    _ = device.published(1, at: now)
    _ = device.reported("wifi", report(1, .rejected))
    let other = Some.candidate(artefact: Some.artefact(1, hash: "of another board"))
    _ = device.settle(["wifi": other], by: 2, at: now + 10)
    _ = device.published(2, at: now + 10)
    #expect(state(device, "wifi")?.status == .pending)
    _ = device.reported(
      "wifi", Report(slot: report(1, .accepted, hash: "wrong").slot, at: now + 11))
    #expect(state(device, "wifi") == SlotState(.failed, .hashMismatch), "this it said since")
  }

  /// The same content under another version is not sent again, and what the device said of it counts on.
  @Test func theSameHashIsNotSentAgain() {
    var device = device()
    func version(_ number: Int) -> Candidate {
      Some.candidate(artefact: Some.artefact(number, hash: "the same"))
    }
    _ = device.settle(["wifi": version(1)], by: 1, at: now)
    #expect(device.settle(["wifi": version(2)], by: 1, at: now + 1).isEmpty)
    #expect((device.revision, device.slots["wifi"]?.artefact.version) == (1, 2))
    _ = device.reported("wifi", report(1, .accepted, hash: "the same"))
    #expect(state(device, "wifi") == SlotState(.accepted), "it knows it as version 1")
    #expect(device.settle(["wifi": version(3)], by: 1, at: now + 2).isEmpty)
    #expect(state(device, "wifi") == SlotState(.accepted))
    #expect(device.slots["wifi"]?.sinceAt == now)
    _ = device.reported("wifi", report(3, .accepted, hash: "the same"))
    #expect(device.settle(["wifi": version(1)], by: 1, at: now + 3).isEmpty, "and back")
    #expect(state(device, "wifi") == SlotState(.accepted), "by version 3")
    _ = device.reported("wifi", report(9, .accepted, hash: "the same"))
    #expect(state(device, "wifi")?.status == .pending, "a version that it was never given")
  }

  @Test func aRejectedVersionIsNotSentAgain() {
    var device = device()
    let candidate = candidate(version: 1)
    _ = device.settle(["wifi": candidate], by: 1, at: now)
    _ = device.published(1, at: now)
    _ = device.reported("wifi", report(1, .rejected))
    #expect(device.settle(["wifi": candidate], by: 2, at: now).isEmpty)
    #expect(device.delivery.nextAttemptAt == nil)
    #expect(state(device, "wifi") == SlotState(.rejected, .rejected))
  }

  /// A copy of the registry that is read from the start once more begins with what is no more.
  @Test func anOlderRecordOfTheDeviceDecidesNothing() {
    var device = device()
    let candidate = candidate(version: 1)
    _ = device.settle(["wifi": candidate], by: 5, at: now)
    #expect(device.settle([:], by: 4, at: now).isEmpty)
    #expect(device.slots["wifi"]?.artefact == candidate.artefact)
    #expect(device.resolvedRev == 5)
    #expect(!device.settle([:], by: 5, at: now).isEmpty)
  }

  /// Whatever comes in whatever order: revisions and rev only grow, and no more is confirmed than was made.
  @Test(arguments: 0..<100) func nothingGoesBack(seed: Int) {
    var device = device()
    for step in 0..<60 {
      let before = device
      let effects =
        switch Int.random(in: 0..<4) {
        case 0: device.settle(Bool.random() ? ["wifi": candidate(version: step)] : [:], by: 1, at: now)
        case 1: device.published(.random(in: 0...Int64(step)), at: now)
        case 2: device.reported("wifi", report(step, ReportedSlot.Status.allCases.randomElement() ?? .failed))
        default: device.sendAgain(at: now)
        }
      #expect(device.revision >= before.revision)
      #expect(device.delivery.publishedRevision >= before.delivery.publishedRevision)
      #expect(device.delivery.publishedRevision <= device.revision)
      #expect(device.rev == before.rev + Int64(tells(effects).count))
      if device.revision > before.revision { #expect(effects.contains(.send)) }
    }
  }

  @Test func theDocumentHoldsTheContent() throws {
    var device = device()
    let candidate = candidate(version: 3)
    _ = device.settle(["wifi": candidate], by: 1, at: now)
    let document = try JSON(
      parsing: device.document(contents: [candidate.artefact.id: .inline(["ssid": "x"])]))
    #expect(
      document == [
        "revision": 1,
        "slots": [
          "wifi": [
            "artefactId": .string(candidate.artefact.id.text), "version": 3, "sha256": "hash-3",
            "contentType": "application/json", "content": ["ssid": "x"],
          ]
        ],
      ])
    let large = try JSON(parsing: device.document(contents: [candidate.artefact.id: .large(size: 7)]))
    #expect(large["slots"]?["wifi"]?["size"] == 7)
    #expect(large["slots"]?["wifi"]?["content"] == nil)
    _ = device.settle([:], by: 1, at: now)
    #expect(String(decoding: device.document(contents: [:]), as: UTF8.self) == #"{"revision":2,"slots":{}}"#)
  }

  private func device() -> DeviceConfiguration {
    DeviceConfiguration(deviceId: "0123456789abcdef", recordId: UUID(), organisationId: UUID())
  }

  private func candidate(version: Int) -> Candidate { Some.candidate(artefact: Some.artefact(version)) }

  private func again(_ slot: DesiredSlot) -> Candidate {
    Some.candidate(artefact: slot.artefact, id: slot.bindingId)
  }

  private func report(_ version: Int, _ status: ReportedSlot.Status, hash: String? = nil) -> Report {
    Report(slot: ReportedSlot(version: version, sha256: hash ?? "hash-\(version)", status: status), at: now)
  }

  private func state(_ device: DeviceConfiguration, _ path: String) -> SlotState? {
    device.slots[path].map { device.state(of: $0, isOnline: true) }
  }

  private func tells(_ effects: [DeviceConfiguration.Effect]) -> [DeviceConfiguration.ConfigurationEvent.Kind]
  {
    effects.compactMap { if case .tell(let event) = $0 { event.kind } else { nil } }
  }
}

import FoundationEssentials
import Wire

extension DeviceConfiguration {
  /// The largest document: it has to fit one Kafka record and a device's patience.
  public static let documentLimit = 1024 * 1024

  /// What a slot of a document holds.
  public enum Content: Sendable {
    case inline(JSON)
    /// In bytes: the device asks where it is to be had (`artefact/get`).
    case large(size: Int)
  }

  /// What is wrong with a document of so many bytes; nil if it may be sent.
  public static func fault(ofDocument bytes: Int) -> String? {
    bytes <= documentLimit
      ? nil
      : "the device's document would be \(bytes) bytes, at most \(documentLimit) go: it would not be sent"
  }

  /// So many slots fit whatever they hold: 64 KiB each, and 1 KiB around it.
  public static let surelyFitting = documentLimit / (Artefact.inlineLimit + 1024)

  /// How large the document of a device that gets these would be.
  public static func documentBytes(of winners: [String: Candidate], contents: [UUID: Content]) -> Int {
    let slots = winners.mapValues {
      DesiredSlot(bindingId: $0.bindingId, artefact: $0.artefact, since: 1, sinceAt: .distantPast)
    }
    // A revision of 19 digits takes no more.
    return DeviceConfiguration(
      deviceId: "", recordId: UUID(), organisationId: UUID(), revision: .max, slots: slots
    ).document(contents: contents).count
  }

  /// The document as the device gets it.
  /// - Parameter contents: by artefact.
  public func document(contents: [UUID: Content]) -> [UInt8] {
    let slots = slots.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { object, slot in
      let artefact = slot.value.artefact
      object[slot.key] = .compact([
        "artefactId": .string(artefact.id.text), "version": .int(Int64(artefact.version)),
        "sha256": .string(artefact.sha256), "contentType": .string(artefact.contentType),
        "content": contents[artefact.id]?.json, "size": contents[artefact.id]?.size,
      ])
    }
    return (["revision": .int(revision), "slots": .object(slots)] as JSON).bytes
  }
}

extension DeviceConfiguration.Content {
  fileprivate var json: JSON? { if case .inline(let json) = self { json } else { nil } }
  fileprivate var size: JSON? { if case .large(let size) = self { .int(Int64(size)) } else { nil } }
}

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

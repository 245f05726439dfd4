import FoundationEssentials
import Wire

extension DeviceConfiguration {
  /// The largest document: it has to fit one Kafka record and a device's patience.
  public static let documentLimit = 1024 * 1024

  /// The document as the device gets it.
  /// - Parameter contents: by artefact.
  public func document(contents: [UUID: JSON]) -> [UInt8] {
    let slots = slots.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { object, slot in
      let artefact = slot.value.artefact
      object[slot.key] = .compact([
        "artefactId": .string(artefact.id.text), "version": .int(Int64(artefact.version)),
        "sha256": .string(artefact.sha256), "contentType": .string(artefact.contentType),
        "content": contents[artefact.id],
      ])
    }
    return (["revision": .int(revision), "slots": .object(slots)] as JSON).bytes
  }
}

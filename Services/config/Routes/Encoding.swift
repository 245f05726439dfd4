import ConfigDomain
import FoundationEssentials
import Wire

extension Profile {
  var json: JSON { ["type": .string(type.rawValue), "id": .string(id.text)] }
}

extension Artefact {
  /// As it stands in lists.
  var json: JSON { json(nil) }

  /// With its content.
  /// - Parameter content: canonical JSON.
  func json(content: [UInt8]) throws -> JSON { json(try JSON(parsing: content)) }

  private func json(_ content: JSON?) -> JSON {
    .compact([
      "id": .string(id.text), "organisationId": .string(organisationId.text), "slot": .string(slot),
      "profile": profile.json, "version": .int(Int64(version)), "sha256": .string(sha256),
      "size": .int(Int64(size)), "contentType": .string(contentType), "createdAt": .string(createdAt.rfc3339),
      "createdBy": .string(createdBy), "content": content,
    ])
  }
}

extension Target {
  var json: JSON { ["type": .string(type.rawValue), "id": .string(id.text)] }
}

extension ConfigService.BindingView {
  var json: JSON {
    [
      "id": .string(binding.id.text), "target": binding.target.json, "slot": .string(binding.slot),
      "artefactId": .string(binding.artefactId.text), "version": .int(Int64(binding.version)),
      "priority": .int(Int64(binding.priority)), "createdAt": .string(binding.createdAt.rfc3339),
      "updatedAt": .string(binding.updatedAt.rfc3339), "updatedBy": .string(binding.updatedBy),
      "convergence": convergence.json,
    ]
  }
}

extension Convergence {
  var json: JSON {
    [
      "total": .int(Int64(total)), "pending": count(.pending), "inProgress": count(.inProgress),
      "accepted": count(.accepted), "rejected": count(.rejected), "failed": count(.failed),
    ]
  }

  private func count(_ status: SlotState.Status) -> JSON { .int(Int64(self[status])) }
}

extension Report {
  var json: JSON {
    .compact([
      "version": .int(Int64(slot.version)), "sha256": .string(slot.sha256),
      "status": .string(slot.status.rawValue), "at": .string(at.rfc3339),
      "message": slot.message.map { .string($0) },
    ])
  }
}

extension DeviceConfiguration {
  var json: JSON {
    let slots = slots.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { object, entry in
      object[entry.key] = json(entry.value)
    }
    return ["deviceId": .string(deviceId), "revision": .int(revision), "slots": .object(slots)]
  }

  private func json(_ slot: DesiredSlot) -> JSON {
    let state = state(of: slot)
    return .compact([
      "artefactId": .string(slot.artefact.id.text), "bindingId": .string(slot.bindingId.text),
      "desired": ["version": .int(Int64(slot.artefact.version)), "sha256": .string(slot.artefact.sha256)],
      "reported": slot.report?.json, "status": .string(state.status.rawValue),
      "reason": state.reason.map { .string($0.rawValue) },
    ])
  }
}

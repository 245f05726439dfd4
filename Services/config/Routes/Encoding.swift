import ConfigDomain
import FoundationEssentials
import Wire

extension Profile {
  var json: JSON { ["type": .string(type.rawValue), "id": .string(id.text)] }
}

extension Artefact {
  /// As it stands in lists.
  var json: JSON { json(nil) }

  /// - Parameter content: nil where it is not shown.
  fileprivate func json(_ content: JSON?) -> JSON {
    .compact([
      "id": .string(id.text), "organisationId": .string(organisationId.text), "slot": .string(slot),
      "profile": profile.json, "version": .int(Int64(version)), "sha256": .string(sha256),
      "size": .int(Int64(size)), "contentType": .string(contentType), "createdAt": .string(createdAt.rfc3339),
      "createdBy": .string(createdBy), "content": content,
    ])
  }
}

extension StoredArtefact {
  /// With its content, unless that is in the object store.
  var json: JSON {
    get throws {
      switch body {
      case .inline(let bytes): artefact.json(try JSON(parsing: bytes))
      case .object: artefact.json
      }
    }
  }
}

extension ConfigService.UploadTicket {
  var json: JSON {
    let headers = ticket.headers.reduce(into: JSONObject()) { $0[$1.name] = .string($1.value) }
    return [
      "uploadId": .string(upload.id.text), "method": "PUT", "url": .string(ticket.url),
      "headers": .object(headers),
      "expiresAt": .string(upload.expiresAt.rfc3339),
    ]
  }
}

extension ConfigService.ArtefactComparison {
  var json: JSON {
    .compact([
      "from": side(from), "to": side(to), "changes": changes.map { .array($0.map(\.json)) },
    ])
  }

  private func side(_ artefact: Artefact) -> JSON {
    [
      "id": .string(artefact.id.text), "version": .int(Int64(artefact.version)),
      "sha256": .string(artefact.sha256), "size": .int(Int64(artefact.size)),
      "contentType": .string(artefact.contentType),
    ]
  }
}

extension ArtefactDiff.Change {
  var json: JSON {
    .compact(["op": .string(op.rawValue), "pointer": .string(pointer), "before": before, "after": after])
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
    .compact([
      "total": .int(Int64(total)), "pending": count(.pending), "inProgress": count(.inProgress),
      "accepted": count(.accepted), "rejected": count(.rejected), "failed": count(.failed),
      "p50Seconds": medianSeconds.map { .double($0) }, "p95Seconds": slowSeconds.map { .double($0) },
    ])
  }

  private func count(_ status: SlotState.Status) -> JSON { .int(Int64(self[status])) }
}

extension BindingChange.Bound {
  var json: JSON {
    [
      "artefactId": .string(artefactId.text), "version": .int(Int64(version)),
      "priority": .int(Int64(priority)),
    ]
  }
}

extension BindingChange {
  var json: JSON {
    .compact([
      "rev": .int(rev), "at": .string(at.rfc3339), "by": .string(author), "before": before?.json,
      "after": after?.json,
    ])
  }
}

extension TargetStates.Item {
  var json: JSON {
    let parts = path.split(separator: "/", maxSplits: 1)
    return .compact([
      "deviceId": .string(deviceId), "component": parts.count == 2 ? .string(String(parts[0])) : nil,
      "slot": .string(path), "artefactId": .string(slot.artefact.id.text), "desired": slot.artefact.desired,
      "reported": slot.report?.json, "status": .string(state.status.rawValue),
      "reason": state.reason.map { .string($0.rawValue) },
    ])
  }
}

extension ArtefactReference {
  /// As much of it as a device reports back.
  var desired: JSON { ["version": .int(Int64(version)), "sha256": .string(sha256)] }
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

extension ConfigService.DesiredState {
  var json: JSON {
    let slots = configuration.slots.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { object, entry in
      object[entry.key] = json(entry.key, entry.value)
    }
    return .compact([
      "deviceId": .string(configuration.deviceId), "revision": .int(configuration.revision),
      "slots": .object(slots), "fault": configuration.isTooLarge ? .string(Self.tooLarge) : nil,
    ])
  }

  private static let tooLarge =
    "The document of this revision is larger than \(DeviceConfiguration.documentLimit) bytes: it is not sent, and the device keeps the one before."

  private func json(_ path: String, _ slot: DesiredSlot) -> JSON {
    let state = configuration.state(of: slot, isOnline: isOnline)
    return .compact([
      "artefactId": .string(slot.artefact.id.text), "bindingId": .string(slot.bindingId.text),
      "desired": slot.artefact.desired,
      "reported": slot.report?.json, "status": .string(state.status.rawValue),
      "reason": state.reason.map { .string($0.rawValue) },
      "candidates": candidates.map { candidates in
        let standing = candidates[path] ?? []
        return .array(standing.indices.map { Explanation(standing, $0).json })
      },
      "evidence": candidates == nil ? nil : evidence(of: slot),
    ])
  }

  /// What is known of the way of this content: when it was put on its way, since when the broker has had it, and what the
  /// device last said of it.
  private func evidence(of slot: DesiredSlot) -> JSON {
    let delivery = configuration.delivery
    let isDelivered = delivery.publishedRevision >= slot.since
    return .compact([
      "publishedAt": .string(slot.sinceAt.rfc3339),
      "deliveredAt": isDelivered ? delivery.publishedAt.map { .string($0.rfc3339) } : nil,
      "reportedAt": slot.observation?.isDesiredVersion == true
        ? slot.report.map { .string($0.at.rfc3339) } : nil,
    ])
  }
}

extension Explanation {
  var json: JSON {
    let binding = candidate.active.binding
    return [
      "bindingId": .string(binding.id.text), "target": binding.target.json,
      "artefactId": .string(binding.artefactId.text), "version": .int(Int64(binding.version)),
      "priority": .int(Int64(binding.priority)), "rank": .int(Int64(rank)), "won": .bool(rank == 1),
      "why": .string(why), "createdAt": .string(binding.createdAt.rfc3339),
      "updatedAt": .string(binding.updatedAt.rfc3339), "updatedBy": .string(binding.updatedBy),
    ]
  }
}

import ConfigDomain
import FoundationEssentials
import Wire

/// The public events of configurations, `martlet.config.events`.
///
/// `rev` grows by one for each binding in the events of bindings, and for each device in the others.
enum ConfigEvents {
  static func bindingChanged(_ binding: Binding, deviceId: String, by author: ConfigService.Author) -> Event {
    event("bindingChanged", binding, rev: binding.rev, deviceId: deviceId, at: binding.updatedAt, by: author)
  }

  static func bindingRemoved(
    _ binding: Binding, deviceId: String, at now: Date, by author: ConfigService.Author
  ) -> Event {
    event("bindingRemoved", binding, rev: binding.rev + 1, deviceId: deviceId, at: now, by: author)
  }

  static func event(
    _ happening: DeviceConfiguration.Happening, of device: DeviceConfiguration, in traceparent: String?
  ) -> Event {
    var json: JSONObject = [
      "rev": .int(happening.rev), "organisationId": .string(device.organisationId.text),
      "deviceId": .string(device.deviceId), "at": .string(happening.at.rfc3339),
    ]
    let type: String
    switch happening.what {
    case .documentChanged(let revision):
      type = "documentChanged"
      json["revision"] = .int(revision)
    case .documentPublished(let revision):
      type = "documentPublished"
      json["revision"] = .int(revision)
    case .reported(let path, let slot, let state):
      type = "reported"
      json["slot"] = .string(path)
      json["bindingId"] = .string(slot.bindingId.text)
      json["artefactId"] = .string(slot.artefact.id.text)
      json["reported"] = slot.report?.json
      json["status"] = .string(state.status.rawValue)
      json["reason"] = state.reason.map { .string($0.rawValue) }
    }
    return Event(
      topic: .configEvents, key: device.deviceId, type: "martlet.config.\(type)", json: .object(json),
      traceparent: traceparent)
  }

  private static func event(
    _ type: String, _ binding: Binding, rev: Int64, deviceId: String, at: Date,
    by author: ConfigService.Author
  ) -> Event {
    Event(
      topic: .configEvents, key: deviceId, type: "martlet.config.\(type)",
      json: [
        "rev": .int(rev), "organisationId": .string(binding.organisationId.text),
        "deviceId": .string(deviceId),
        "at": .string(at.rfc3339), "bindingId": .string(binding.id.text), "target": binding.target.json,
        "slot": .string(binding.slot), "artefactId": .string(binding.artefactId.text),
        "version": .int(Int64(binding.version)), "priority": .int(Int64(binding.priority)),
        "by": .string(author.name),
      ], traceparent: author.traceparent)
  }
}

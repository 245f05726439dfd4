import ConfigDomain
import FoundationEssentials
import Wire

/// The public events of configurations, `martlet.config.events`.
///
/// `rev` grows by one for each binding in the events of bindings, and for each device in the others.
enum ConfigEvents {
  /// What became of a binding: `bindingCreated`, `bindingChanged` or `bindingRemoved`.
  /// - Parameters:
  ///   - binding: as it is now, or as it was before its end.
  ///   - deviceId: of the single device that it is for; the key is then the device's, else the target's.
  static func binding(
    _ binding: Binding, _ change: BindingChange, deviceId: String?, in traceparent: String
  ) -> Event {
    let type = change.before == nil ? "Created" : change.after == nil ? "Removed" : "Changed"
    return Event(
      topic: .configEvents, key: deviceId ?? binding.target.id.text, type: "martlet.config.binding\(type)",
      json: .compact([
        "rev": .int(change.rev), "organisationId": .string(binding.organisationId.text),
        "deviceId": deviceId.map { .string($0) },
        "at": .string(change.at.rfc3339), "bindingId": .string(binding.id.text),
        "target": binding.target.json,
        "slot": .string(binding.slot), "artefactId": .string(binding.artefactId.text),
        "version": .int(Int64(binding.version)), "priority": .int(Int64(binding.priority)),
        "before": change.before?.json, "after": change.after?.json, "by": .string(change.author),
      ]), traceparent: traceparent)
  }

  static func event(
    _ event: DeviceConfiguration.ConfigurationEvent, of device: DeviceConfiguration, in traceparent: String?
  ) -> Event {
    var json: JSONObject = [
      "rev": .int(event.rev), "organisationId": .string(device.organisationId.text),
      "deviceId": .string(device.deviceId), "at": .string(event.at.rfc3339),
    ]
    let type: String
    switch event.kind {
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
    case .converged(let path, let slot):
      type = "converged"
      json["slot"] = .string(path)
      json["bindingId"] = .string(slot.bindingId.text)
      json["artefactId"] = .string(slot.artefact.id.text)
      json["seconds"] = slot.convergedAt.map { .double($0.timeIntervalSince(slot.sinceAt)) }
    }
    return Event(
      topic: .configEvents, key: device.deviceId, type: "martlet.config.\(type)", json: .object(json),
      traceparent: traceparent)
  }
}

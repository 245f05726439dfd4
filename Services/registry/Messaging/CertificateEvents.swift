import FoundationEssentials
import RegistryDomain
import Runtime
import Wire

extension DeviceCertificate {
  /// The public event that it was issued, or revoked.
  func event(isRevoked: Bool, _ context: RequestContext, at time: Date) -> Event {
    var payload = json.object ?? JSONObject()
    payload["id"] = .string(device.text)
    payload["deviceId"] = .string(deviceId)
    payload.note(context, organisation: organisationId, at: time)
    return Event(
      topic: .registryEvents, key: deviceId,
      type: "martlet.registry.certificate.\(isRevoked ? "revoked" : "issued")", json: .object(payload),
      traceparent: context.trace.traceparent)
  }
}

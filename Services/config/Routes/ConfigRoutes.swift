import HTTP
import Runtime

/// The table of contents of the config API.
struct ConfigRoutes: Sendable {
  let service: ConfigService

  func add(to api: inout API) {
    api.post("api/v1/config-artefacts", .admin, createArtefact)
    api.get("api/v1/config-artefacts", .viewer, listArtefacts)
    api.get("api/v1/config-artefacts/{id}", .viewer, getArtefact)
    api.get("api/v1/config-artefacts/{id}/content", .viewer, getContent)
    api.delete("api/v1/config-artefacts/{id}", .admin, deleteArtefact)

    api.put("api/v1/desired-state-bindings", .operator, putBinding)
    api.get("api/v1/desired-state-bindings", .viewer, listBindings)
    api.get("api/v1/desired-state-bindings/{id}", .viewer, getBinding)
    api.delete("api/v1/desired-state-bindings/{id}", .operator, deleteBinding)

    api.get("api/v1/devices/{deviceId}/desired-state", .viewer, getDesiredState)
  }
}

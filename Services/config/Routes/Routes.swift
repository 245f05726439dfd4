import Runtime

extension API {
  /// The table of contents of the config service.
  mutating func config(_ service: ConfigService) {
    let artefacts = ArtefactRoutes(service: service)
    post("api/v1/config-artefacts", .admin, artefacts.create)
    get("api/v1/config-artefacts", .viewer, artefacts.list)
    get("api/v1/config-artefacts/{id}", .viewer, artefacts.read)
    get("api/v1/config-artefacts/{id}/content", .viewer, artefacts.content)
    delete("api/v1/config-artefacts/{id}", .admin, artefacts.delete)

    let bindings = BindingRoutes(service: service)
    put("api/v1/desired-state-bindings", .operator, bindings.put)
    get("api/v1/desired-state-bindings", .viewer, bindings.list)
    get("api/v1/desired-state-bindings/{id}", .viewer, bindings.read)
    delete("api/v1/desired-state-bindings/{id}", .operator, bindings.delete)

    get("api/v1/devices/{deviceId}/desired-state", .viewer, DesiredStateRoutes(service: service).read)
  }
}

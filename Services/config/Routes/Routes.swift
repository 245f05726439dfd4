import Runtime

extension API {
  /// The table of contents of the config service.
  mutating func config(_ service: ConfigService) {
    let artefacts = ArtefactRoutes(service: service)
    post("api/v1/config-artefacts", .admin, artefacts.create)
    post("api/v1/config-artefacts/upload-url", .admin, artefacts.announce)
    get("api/v1/config-artefacts", .viewer, artefacts.list)
    get("api/v1/config-artefacts/{id}", .viewer, artefacts.read)
    get("api/v1/config-artefacts/{id}/content", .viewer, artefacts.content)
    get("api/v1/config-artefacts/{id}/diff", .viewer, artefacts.diff)
    delete("api/v1/config-artefacts/{id}", .admin, artefacts.delete)

    let bindings = BindingRoutes(service: service)
    put("api/v1/desired-state-bindings", .operator, bindings.put)
    get("api/v1/desired-state-bindings", .viewer, bindings.list)
    get("api/v1/desired-state-bindings/{id}", .viewer, bindings.read)
    delete("api/v1/desired-state-bindings/{id}", .operator, bindings.delete)

    get("api/v1/desired-state-bindings/{id}/history", .viewer, bindings.history)
    get("api/v1/desired-state-bindings/{id}/targets", .viewer, bindings.targets)
    let plans = PlanRoutes(service: service)
    post("api/v1/desired-state-bindings/plan", .operator, plans.create)
    put("api/v1/desired-state-bindings/plan/{planId}/apply", .operator, plans.apply)
    get("api/v1/devices/{deviceId}/desired-state", .viewer, DesiredStateRoutes(service: service).read)
  }
}

extension API {
  /// The embedded object store.
  mutating func objects(_ objects: EmbeddedObjects) {
    let path = "\(ObjectSettings.embeddedPrefix)/{bucket}/{organisation}/{id}"
    signed(.put, path, objects.put)
    signed(.get, path, objects.get)
  }
}

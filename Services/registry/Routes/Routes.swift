import Runtime

extension API {
  /// The table of contents of the registry.
  mutating func registry(_ registry: RegistryService) {
    let organisations = OrganisationRoutes(registry: registry)
    get("organisation", .viewer, organisations.list)
    post("organisation", .root, organisations.create)
    get("organisation/id/{id}", .viewer, organisations.read)
    put("organisation/id/{id}", .admin, organisations.update)
    delete("organisation/id/{id}", .admin, organisations.delete)
    get("organisation/name/{name}", .viewer, organisations.readByName)
    get("organisation/slug/{slug}", .viewer, organisations.readBySlug)

    let keys = APIKeyRoutes(registry: registry)
    get("apiKey", .admin, keys.list)
    post("apiKey", .admin, keys.create)
    delete("apiKey/id/{id}", .admin, keys.delete)
    get("whoami", .viewer, keys.whoami)

    let boards = BoardRoutes(registry: registry)
    get("board", .viewer, boards.list)
    post("board", .admin, boards.create)
    get("board/id/{id}", .viewer, boards.read)
    put("board/id/{id}", .admin, boards.update)
    delete("board/id/{id}", .admin, boards.delete)
    get("board/id/{id}/devices", .viewer, boards.devices)

    let devices = DeviceRoutes(registry: registry)
    get("device", .viewer, devices.list)
    post("device", .operator, devices.create)
    get("device/id/{id}", .viewer, devices.read)
    put("device/id/{id}", .operator, devices.update)
    patch("device/id/{id}", .operator, devices.patch)
    delete("device/id/{id}", .operator, devices.delete)
    get("device/deviceId/{deviceId}", .viewer, devices.readByDeviceId)
    get("device/soc/{soc}/mcuId/{mcuId}", .viewer, devices.readByMcuId)

    let states = StateRoutes(registry: registry)
    get("device/id/{id}/state", .viewer, states.read)
    get("device/deviceId/{deviceId}/state", .viewer, states.readByDeviceId)
    get("device/deviceId/{deviceId}/lastRoute", .viewer, states.lastRoute)
    post("device/lastRoute", .viewer, states.lastRoutes)
    get("device-and-state", .viewer, states.devices)
  }
}

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

    owned("board", .admin, OwnedRoutes<BoardTable>(registry: registry))
    get("board/id/{id}/devices", .viewer, BoardRoutes(registry: registry).devices)
    owned("network", .admin, OwnedRoutes<NetworkTable>(registry: registry))
    owned("sensorProfile", .admin, OwnedRoutes<SensorProfileTable>(registry: registry))

    let groups = GroupRoutes(registry: registry)
    let anyGroups = OwnedRoutes<GroupTable>(registry: registry)
    get("group", .viewer, anyGroups.list)
    post("group", .admin, groups.create)
    get("group/id/{id}", .viewer, anyGroups.read)
    put("group/id/{id}", .admin, groups.update)
    delete("group/id/{id}", .admin, groups.delete)
    get("group/id/{id}/device", .viewer, groups.members)
    post("group/id/{id}/device", .operator, groups.add)
    delete("group/id/{id}/device", .operator, groups.remove)

    let devices = DeviceRoutes(registry: registry)
    get("device", .viewer, devices.list)
    post("device", .operator, devices.create)
    get("device/id/{id}", .viewer, devices.read)
    put("device/id/{id}", .operator, devices.update)
    patch("device/id/{id}", .operator, devices.patch)
    delete("device/id/{id}", .operator, devices.delete)
    get("device/deviceId/{deviceId}", .viewer, devices.readByDeviceId)
    get("device/soc/{soc}/mcuId/{mcuId}", .viewer, devices.readByMcuId)

    let components = ComponentRoutes(registry: registry)
    get("device/id/{id}/component", .viewer, components.list)
    put("device/id/{id}/component", .operator, components.put)
    delete("device/id/{id}/component/{key}", .operator, components.delete)

    let certificates = CertificateRoutes(registry: registry)
    post("device/id/{id}/certificate", .operator, certificates.create)
    delete("device/id/{id}/certificate", .operator, certificates.delete)

    let bulk = BulkRoutes(registry: registry)
    post("device/import", .operator, bulk.importDevices)
    get("device/export", .viewer, bulk.exportDevices)

    let states = StateRoutes(registry: registry)
    get("device/id/{id}/state", .viewer, states.read)
    get("device/deviceId/{deviceId}/state", .viewer, states.readByDeviceId)
    get("device/deviceId/{deviceId}/lastRoute", .viewer, states.lastRoute)
    post("device/lastRoute", .viewer, states.lastRoutes)
    get("device-and-state", .viewer, states.devices)
  }

  private mutating func owned<Table>(_ path: String, _ writer: Access, _ routes: OwnedRoutes<Table>) {
    get(path, .viewer, routes.list)
    post(path, writer, routes.create)
    get("\(path)/id/{id}", .viewer, routes.read)
    put("\(path)/id/{id}", writer, routes.update)
    delete("\(path)/id/{id}", writer, routes.delete)
  }
}

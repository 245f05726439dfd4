import Runtime

extension API {
  /// The table of contents of the commands service: both surfaces over the one lifecycle.
  mutating func commands(_ service: CommandsService) {
    let v1 = CommandRoutes(service: service)
    post("api/v1/devices/{deviceId}/commands", .operator, v1.create)
    get("api/v1/devices/{deviceId}/commands", .viewer, v1.list)
    get("api/v1/devices/{deviceId}/commands/{id}", .viewer, v1.read)
    post("api/v1/devices/{deviceId}/commands/{id}/cancel", .operator, v1.cancel)
    get("api/v1/commands/{id}", .viewer, v1.read)
    post("api/v1/commands/{id}/cancel", .operator, v1.cancel)
    get("api/v1/invariants", .viewer, v1.invariants)
    stream("api/v1/events", .viewer, EventRoutes(service: service).stream)

    let bulk = CampaignRoutes(service: service)
    post("api/v1/commands/bulk", .operator, bulk.create)
    get("api/v1/commands/bulk", .viewer, bulk.list)
    get("api/v1/commands/bulk/{id}", .viewer, bulk.read)
    get("api/v1/commands/bulk/{id}/commands", .viewer, bulk.commands)
    post("api/v1/commands/bulk/{id}/cancel", .operator, bulk.cancel)
    post("api/v1/commands/bulk/{id}/retry", .operator, bulk.retry)

    let devices = DeviceCommandRoutes(service: service)
    post("devices/{id}/commands", .operator, devices.create)
    get("devices/{id}/commands", .viewer, devices.history)
    get("commands", .admin, devices.all)
    get("commands/{id}", .viewer, devices.read)
    delete("commands/{id}", .admin, devices.delete)
    post("commands/{id}/retry", .admin, devices.retry)
    post("commands/purge", .admin, devices.purge)
  }
}

import Runtime

extension API {
  /// The table of contents of the commands service: both surfaces over the one lifecycle.
  mutating func commands(_ service: CommandsService) {
    let v1 = CommandRoutes(service: service)
    post("api/v1/devices/{deviceId}/commands", .operator, v1.create)
    get("api/v1/devices/{deviceId}/commands", .viewer, v1.list)
    get("api/v1/devices/{deviceId}/commands/{id}", .viewer, v1.read)
    get("api/v1/commands/{id}", .viewer, v1.read)
    get("api/v1/invariants", .viewer, v1.invariants)

    let devices = DeviceCommandRoutes(service: service)
    post("devices/{id}/commands", .operator, devices.create)
    get("devices/{id}/commands", .viewer, devices.history)
    get("commands", .admin, devices.all)
    get("commands/{id}", .viewer, devices.read)
  }
}

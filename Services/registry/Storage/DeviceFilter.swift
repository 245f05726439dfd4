import FoundationEssentials
import Postgres
import RegistryDomain
import Wire

/// Which devices a list shows.
struct DeviceFilter: Sendable {
  var organisation: UUID?
  var board: UUID?
  /// False also takes those that never said.
  var online: Bool?
  /// Fields and the values that they must have.
  var metadata = JSONObject()
  /// A part of the name, `mcuId` or `deviceId`, in any case of letters.
  var search: String?

  private var conditions: Conditions {
    var conditions = Conditions()
    if let organisation { conditions.add("t.organisation_id = ", organisation) }
    if let board { conditions.add("t.board_id = ", board) }
    if let online { conditions.add(online ? "s.online" : "s.online IS NOT TRUE") }
    if !metadata.isEmpty { conditions.add("t.metadata @> ", PostgresJSON(metadata)) }
    // Walks the organisation's devices: 100,000 of them take some 40 ms.
    if let search { conditions.add("strpos(t.search, lower(", search, ")) > 0") }
    return conditions
  }

  private static let joined = "device t JOIN device_state s USING (device_id)"

  func page(_ page: PageRequest, on database: any Querying) async throws -> Page<Device> {
    try await database.page(
      page, select: DeviceTable.columns, from: online == nil ? "device t" : Self.joined, where: conditions,
      read: DeviceTable.read)
  }

  func pageWithState(
    _ page: PageRequest, on database: any Querying
  ) async throws -> Page<(device: Device, state: StoredState)> {
    try await database.page(
      page, select: "\(DeviceTable.columns), \(StateTable.columns)", from: Self.joined, where: conditions
    ) { (try DeviceTable.read($0), try StateTable.read($0)) }
  }
}

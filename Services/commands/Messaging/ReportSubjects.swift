import CommandsDomain
import FoundationEssentials
import Postgres

/// What a batch of reports speaks of.
struct ReportSubjects {
  var ids: Set<UUID> = []
  /// Devices that said something, or may have: what waits for them is looked at.
  var there: Set<String> = []
  /// When they were last heard from.
  var heard: [String: Date] = [:]
  /// Devices that have come back.
  var back: Set<String> = []
  /// Devices to which a command was delivered.
  var delivered: Set<String> = []
  /// Devices whose commands the bridge gave back, or config has news of.
  var concerned: Set<String> = []
  /// The newest connection of a bridge to the broker.
  var epoch: Int64?

  init(_ reports: [(deviceId: String, report: DeviceReport)]) {
    for (deviceId, report) in reports {
      switch report {
      case .command(let id, let occurrence, _):
        ids.insert(id)
        if occurrence.event == .undelivered { concerned.insert(deviceId) }
        if occurrence.event == .sent { delivered.insert(deviceId) }
      case .followed(let id, _):
        ids.insert(id)
        concerned.insert(deviceId)
      case .heard(let reconnected, let at, _):
        there.insert(deviceId)
        heard[deviceId] = max(at, heard[deviceId] ?? at)
        if reconnected { back.insert(deviceId) }
      case .retained:
        there.insert(deviceId)
        back.insert(deviceId)
      case .gone: break
      case .brokerConnected(let offset): epoch = max(offset, epoch ?? 0)
      }
    }
  }

  /// Locks what waits for these devices, and looks at once at those that listen.
  func look(ifHeld mayBeHeld: Bool) -> PostgresQuery {
    CommandStore.look(
      heard: Array(there), delivered: Array(delivered), concerned: Array(concerned), ifHeld: mayBeHeld)
  }
}

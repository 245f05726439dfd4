import FoundationEssentials
import Wire

/// Which commands are not to be tried, so that none goes before an elder of its lane.
///
/// When one was not delivered, those of its lane that were handed over before the commands service knew of it are given back
/// untried: of its next turn all come again, in order. A direct one has turn 0, each that waited a greater one. Those of other
/// lanes are tried: what the device has subscribed to meanwhile it gets, and lanes do not wait for each other.
public struct DeviceHolds: Sendable {
  /// Whose order a hold is for.
  private struct Lane: Hashable {
    let deviceId: String
    let name: String
  }

  private struct Hold {
    let turn: Int64
    let until: Date
  }

  /// Beyond it those whose time is over are forgotten.
  private static let most = 10_000
  private var holds: [Lane: Hold] = [:]
  private var sweepAt = most

  public init() {}

  /// How many lanes are held.
  public var count: Int { holds.count }

  /// Whether a command may be tried now.
  /// - Parameter epoch: of the connection to the broker: what was handed over before it may stand behind what was lost.
  public mutating func admits(_ command: CommandDownlink, of deviceId: String, epoch: Int64, now: Date)
    -> Bool
  {
    if command.turn.epoch < epoch { return false }
    let lane = Lane(deviceId: deviceId, name: command.lane)
    guard let hold = holds[lane] else { return true }
    if command.turn.number <= hold.turn, now < hold.until { return false }
    holds[lane] = nil
    return true
  }

  /// One that was tried was not delivered. It cannot be after its `deliverBy`, so neither is anything held for it longer.
  public mutating func undelivered(_ command: CommandDownlink, of deviceId: String, now: Date) {
    holds[Lane(deviceId: deviceId, name: command.lane)] = Hold(
      turn: command.turn.number, until: command.deliverBy)
    guard holds.count > sweepAt else { return }
    holds = holds.filter { now < $0.value.until }
    sweepAt = max(Self.most, holds.count * 2)
  }
}

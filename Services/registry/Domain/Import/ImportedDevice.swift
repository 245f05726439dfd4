import FoundationEssentials
import Wire

/// A row of an import as a device: what it is if it is new, and what it changes of one that is there.
public struct ImportedDevice: Sendable {
  /// What happens to a row whose device is there already with other values.
  public enum Mode: String, Sendable, CaseIterable {
    /// It fails.
    case create
    /// The device is changed.
    case upsert
  }

  /// What is to be done with a row.
  public enum Decision: Sendable {
    case create
    case update(from: Device, to: Device)
    case nothing(Device)
    case refuse([JSONFault])
  }

  public let new: NewDevice
  /// If the row gives it.
  public let deviceId: String?
  private let metadata: Metadata?
  private let networkId: UUID?
  private let name: String?

  /// - Throws: every fault of the row, as a POST would say them.
  public init(_ body: JSON, organisation: UUID?, id: UUID, at time: Date) throws(JSONFaults) {
    func isGiven(_ name: String) -> Bool { (body[name] ?? .null) != .null }
    var fields = JSONFields(body)
    new = NewDevice(&fields, organisation: organisation, id: id, at: time)
    try fields.finish()
    deviceId = isGiven("deviceId") ? new.device.deviceId : nil
    metadata = isGiven("metadata") ? new.device.metadata : nil
    networkId = new.device.networkId
    name = new.device.name
  }

  /// Decides what becomes of it.
  /// - Parameters:
  ///   - board: its board.
  ///   - named: the device that has its `deviceId`, if it gives one.
  ///   - alike: the device that has its `mcuId` and SoC.
  public func decide(_ mode: Mode, board: BoardRules, named: Device?, alike: Device?) -> Decision {
    let faults: [JSONFault]
    let device = new.device
    // With its deviceId it is that device; without one it is the one with its mcuId. One of others is only in the way.
    let current = deviceId == nil ? alike : named
    guard let current, current.organisationId == device.organisationId else {
      faults = [
        current != nil && deviceId != nil ? Self.taken("deviceId") : nil,
        alike != nil ? Self.taken("mcuId") : nil,
      ].compactMap { $0 }
      return Self.refuse(faults + device.metadata.faults(against: board.metadataFields)) ?? .create
    }
    let changed = changed(current, board)
    if changed.rev == current.rev { return .nothing(current) }
    if mode == .create { return .refuse([Self.taken(deviceId == nil ? "mcuId" : "deviceId")]) }
    if let alike, alike.id != current.id { return .refuse([Self.taken("mcuId")]) }
    return Self.refuse(changed.metadata.faults(against: board.metadataFields))
      ?? .update(from: current, to: changed)
  }

  /// What it makes of a device: what the row gives is set, the rest stays.
  private func changed(_ current: Device, _ board: BoardRules) -> Device {
    var changed = current
    (changed.mcuId, changed.boardId, changed.soc) = (new.device.mcuId, board.id, board.soc)
    if let metadata {
      changed.metadata = current.metadata.changed(
        metadata.fields.map { Named(name: $0.name, value: $0.value) })
    }
    if let networkId { changed.networkId = networkId }
    if let name { changed.name = name }
    return current.next(changed, at: new.device.createdAt)
  }

  private static func refuse(_ faults: [JSONFault]) -> Decision? { faults.isEmpty ? nil : .refuse(faults) }

  /// What is in the way of a row, in the words of a POST.
  public static func taken(_ field: String) -> JSONFault {
    JSONFault(
      pointer: "/\(field)",
      message: field == "mcuId"
        ? "Another device with this SoC has this mcuId." : "Another device has this deviceId.")
  }
}

import FoundationEssentials

/// Where a command stands among those that are stored in one statement. Only those count that are stored if it is: of the same
/// device in the same revision.
struct PlaceInStatement {
  /// The how manieth of its device, from 1.
  var ofDevice: Int32 = 1
  /// The how manieth of its lane, from 1.
  var ofLane: Int32 = 1
  /// Whether it waits in any case: until its device is heard from, or behind one of its lane that does, or that is exclusive.
  var isBehind = false

  private struct Device: Hashable {
    let record: UUID
    let rev: Int64
    var lane: String?
  }

  static func all(of new: [NewCommand]) -> [PlaceInStatement] {
    // Mostly there is one of a device.
    var last: [Device: PlaceInStatement] = [:]
    last.reserveCapacity(2 * new.count)
    return new.map { item in
      var device = Device(record: item.device.id, rev: item.device.rev)
      var place = PlaceInStatement()
      place.ofDevice += last[device]?.ofDevice ?? 0
      last[device] = place
      device.lane = item.command.head.lane
      let elder = last[device]
      let awaits = item.command.delivery.waitMilliseconds != nil
      place.ofLane += elder?.ofLane ?? 0
      place.isBehind = awaits || elder?.isBehind == true
      // What comes next in the lane is behind this one.
      var next = place
      next.isBehind = place.isBehind || item.command.delivery.isExclusive
      last[device] = next
      return place
    }
  }
}

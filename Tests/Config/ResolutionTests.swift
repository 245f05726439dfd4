import ConfigDomain
import FoundationEssentials
import Testing
import Wire

@Suite struct ResolutionTests {
  @Test func theMoreSpecificTargetWinsWhateverElse() {
    for (place, stronger) in TargetType.allCases.enumerated() {
      for weaker in TargetType.allCases.dropFirst(place + 1) {
        let winner = Some.candidate(stronger, priority: -9, age: 0)
        let loser = Some.candidate(weaker, priority: 9, age: 100)
        #expect(winner.compare(with: loser) == (true, .target), "\(stronger) over \(weaker)")
        #expect(loser.compare(with: winner) == (false, .target), "\(stronger) over \(weaker)")
      }
    }
  }

  @Test func thenTheHigherPriorityThenTheOlder() {
    let young = Some.candidate(.deviceGroup, priority: 2, age: 1)
    let old = Some.candidate(.deviceGroup, priority: 1, age: 2)
    let oldest = Some.candidate(.deviceGroup, priority: 1, age: 3)
    #expect(young.compare(with: oldest) == (true, .priority))
    #expect(oldest.compare(with: old) == (true, .age))
    let twin = Some.candidate(.deviceGroup, priority: 1, age: 2)
    #expect(old.compare(with: twin).by == .id)
    #expect(old.compare(with: twin).wins != twin.compare(with: old).wins)
  }

  /// Every target type against every kind of artefact: whom it reaches, and under which path.
  @Test func whatFitsWhat() {
    let fleet = Fleet()
    let device = fleet.device
    let imu = device.components[0]
    let places: [(TargetType, UUID)] = [
      (.component, imu.id), (.device, device.id), (.deviceGroup, device.groupIds[0]),
      (.deviceProfile, device.boardId),
      (.sensorProfile, imu.sensorProfileId),
    ]
    for (type, target) in places {
      func paths(_ profile: Profile, _ target: UUID, in organisation: UUID = Some.organisation) -> Set<String>
      {
        Set(Some.binding(type, of: target, profile: profile, organisation: organisation).paths(in: device))
      }
      let isWhole = type != .component && type != .sensorProfile
      let board = Profile(type: .device, id: device.boardId)
      #expect(paths(board, target) == (isWhole ? ["wifi"] : []), "an artefact of its board, \(type)")
      #expect(paths(Profile(type: .device, id: UUID()), target).isEmpty, "of another board, \(type)")
      let sensor = Profile(type: .sensor, id: imu.sensorProfileId)
      let expected: Set<String> = type == .component ? ["imu0/wifi"] : ["imu0/wifi", "imu1/wifi"]
      #expect(paths(sensor, target) == expected, "of a sensor, \(type)")
      #expect(paths(Profile(type: .sensor, id: UUID()), target).isEmpty, "of another sensor, \(type)")
      #expect(paths(sensor, UUID()).isEmpty, "another target, \(type)")
      #expect(paths(sensor, target, in: UUID()).isEmpty, "another organisation's, \(type)")
      #expect(paths(board, target, in: UUID()).isEmpty, "another organisation's, \(type)")
    }
  }

  @Test func allTargetsOfADeviceAreLookedAt() {
    let fleet = Fleet()
    let targets = Set(Resolution.targets(of: fleet.device))
    for binding in fleet.everyKind { #expect(targets.contains(binding.binding.target)) }
    #expect(targets.count == 1 + 1 + 2 + 3 + 2)
  }

  /// The order of the bindings never counts, also where type, priority and age are the same.
  @Test(arguments: 0..<100) func theOrderDoesNotCount(seed: Int) {
    let fleet = Fleet()
    let bindings = fleet.random(seed % 20 + 1)
    let winners = fleet.winners(bindings)
    for _ in 0..<5 { #expect(fleet.winners(bindings.shuffled()) == winners) }
    let candidates = Resolution.candidates(for: fleet.device, among: Fleet.byTarget(bindings))
    #expect(candidates.mapValues(\.first) == winners.mapValues(Optional.some))
    for standing in candidates.values {
      for (stronger, weaker) in zip(standing, standing.dropFirst()) {
        #expect(stronger.compare(with: weaker).wins && !weaker.compare(with: stronger).wins)
      }
    }
  }

  /// A binding that is added changes nothing where something more specific is bound; taken away again, all is as it was.
  @Test(arguments: 0..<100) func oneMoreAndOneLess(seed: Int) {
    let fleet = Fleet()
    let bindings = fleet.random(seed % 20)
    let before = fleet.winners(bindings)
    for added in fleet.random(5) {
      let after = fleet.winners(bindings + [added])
      for (path, winner) in after where before[path] != winner {
        #expect(winner.active == added, "only what was added may take a place")
        if let loser = before[path] {
          #expect(added.binding.target.type.rank <= loser.active.binding.target.type.rank)
        }
      }
      #expect(Set(before.keys).isSubset(of: after.keys), "nothing is lost by one more")
      #expect(fleet.winners((bindings + [added]).filter { $0 != added }) == before, "unbinding restores")
    }
  }

  @Test func whyIsTold() {
    let strong = Some.candidate(.device)
    let (high, low) = (Some.candidate(.deviceGroup, priority: 5), Some.candidate(.deviceGroup, priority: 2))
    let standing = [strong, high, low]
    let told = standing.indices.map { Explanation(standing, $0) }
    #expect(told.map(\.rank) == [1, 2, 3])
    #expect(told[0].why == "won: DEVICE is more specific than DEVICE_GROUP")
    #expect(told[2].why.hasPrefix("lost to \(strong.bindingId.text): DEVICE is more specific"))
    #expect(Explanation([high, low], 1).why.hasSuffix("priority 5 is higher than 2"))
    #expect(Explanation([strong], 0).why == "won: it is the only one")
  }
}

/// A device with two groups and three components of two sensor profiles, and bindings that may or may not reach it.
private struct Fleet {
  let device: DeviceEntity

  init() {
    let imu = UUID()
    device = DeviceEntity(
      id: UUID(), deviceId: "0123456789abcdef", mcuId: "m", soc: "s", boardId: Some.board,
      organisationId: Some.organisation, groupIds: [UUID(), UUID()],
      components: [
        ComponentEntity(id: UUID(), key: "imu0", sensorProfileId: imu),
        ComponentEntity(id: UUID(), key: "imu1", sensorProfileId: imu),
        ComponentEntity(id: UUID(), key: "modem", sensorProfileId: UUID()),
      ], rev: 1)
  }

  var everyKind: [ActiveBinding] {
    [
      Some.binding(.device, of: device.id), Some.binding(.deviceProfile, of: device.boardId),
      Some.binding(.deviceGroup, of: device.groupIds[1]),
      Some.binding(.component, of: device.components[2].id),
      Some.binding(.sensorProfile, of: device.components[2].sensorProfileId),
    ]
  }

  func random(_ count: Int) -> [ActiveBinding] {
    let profiles =
      [Profile(type: .device, id: device.boardId), Profile(type: .device, id: UUID())]
      + device.components.map { Profile(type: .sensor, id: $0.sensorProfileId) }
    return (0..<count).map { _ in
      let kind = everyKind.randomElement() ?? everyKind[0]
      return Some.binding(
        kind.binding.target.type, of: kind.binding.target.id, slot: ["wifi", "mesh"].randomElement() ?? "",
        profile: profiles.randomElement() ?? profiles[0], priority: .random(in: 0...1),
        age: Double(Int.random(in: 0...1)))
    }
  }

  static func byTarget(_ bindings: [ActiveBinding]) -> [Target: [ActiveBinding]] {
    Dictionary(grouping: bindings) { $0.binding.target }
  }

  func winners(_ bindings: [ActiveBinding]) -> [String: Candidate] {
    Resolution.winners(for: device, among: Self.byTarget(bindings))
  }
}

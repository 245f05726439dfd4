import ConfigDomain
import FoundationEssentials
import Testing
import Wire

@Suite struct ResolutionTests {
  @Test func theMoreSpecificTargetWinsWhateverElse() {
    for (place, stronger) in TargetType.allCases.enumerated() {
      for weaker in TargetType.allCases.dropFirst(place + 1) {
        let winner = candidate(stronger, priority: -9, age: 0)
        let loser = candidate(weaker, priority: 9, age: 100)
        #expect(Resolution.winners(among: [winner, loser])["wifi"] == winner, "\(stronger) over \(weaker)")
        #expect(Resolution.winners(among: [loser, winner])["wifi"] == winner, "\(stronger) over \(weaker)")
      }
    }
  }

  @Test func thenTheHigherPriorityThenTheOlder() {
    let young = candidate(.deviceGroup, priority: 2, age: 1)
    let old = candidate(.deviceGroup, priority: 1, age: 2)
    let oldest = candidate(.deviceGroup, priority: 1, age: 3)
    #expect(Resolution.winners(among: [old, oldest, young])["wifi"] == young)
    #expect(Resolution.winners(among: [old, oldest])["wifi"] == oldest)
    #expect(Resolution.winners(among: [old])["wifi"] == old)
    #expect(Resolution.winners(among: []).isEmpty)
  }

  @Test func pathsDoNotMeet() {
    let wifi = candidate(.device)
    let sensor = candidate(.sensorProfile, path: "imu0/wifi")
    #expect(Resolution.winners(among: [wifi, sensor]) == ["wifi": wifi, "imu0/wifi": sensor])
  }

  /// The order of the bindings never counts, also where type, priority and age are the same.
  @Test(arguments: 0..<200) func theOrderDoesNotCount(seed: Int) {
    let types = TargetType.allCases
    let candidates = (0..<(seed % 9 + 1)).map { _ in
      candidate(
        types.randomElement() ?? .device, path: ["wifi", "imu0/wifi"].randomElement() ?? "",
        priority: .random(in: 0...1), age: Double(Int.random(in: 0...1)))
    }
    let winners = Resolution.winners(among: candidates)
    for _ in 0..<10 { #expect(Resolution.winners(among: candidates.shuffled()) == winners) }
    #expect(Set(winners.keys) == Set(candidates.map(\.path)))
  }

  private func candidate(
    _ type: TargetType, path: String = "wifi", priority: Int = 0, age: Double = 0
  ) -> Candidate {
    Candidate(
      bindingId: UUID(), path: path, targetType: type, priority: priority,
      boundAt: Date(timeIntervalSince1970: 1_800_000_000 - age),
      artefact: ArtefactReference(id: UUID(), version: 1, sha256: "", contentType: "application/json"))
  }
}

import FoundationEssentials
import Testing

@testable import CommandsDomain

@Suite("The pace of campaigns")
struct CampaignPaceTests {
  /// Steps as the runner takes them, with times at which it is kept from it.
  private func run(_ rate: Int, seconds: Double, batch: Int = 100, stalls: [ClosedRange<Double>] = [])
    -> [Double]
  {
    let pace = CampaignPace(perMinute: rate)
    let start = Date(timeIntervalSince1970: 1_800_000_000)
    var (now, paid, made): (Double, Date?, [Double]) = (0, nil, [])
    while now < seconds {
      if let stall = stalls.first(where: { $0.contains(now) }) {
        now = stall.upperBound + 0.001
        continue
      }
      let step = pace.step(atMost: batch, now: start.addingTimeInterval(now), paidUntil: paid)
      made += [Double](repeating: now, count: step.count)
      paid = step.paidUntil
      now += max(0.003, step.pause)
    }
    return made
  }

  /// The most and the fewest of any minute.
  private func minutes(_ made: [Double], from: Double, to: Double) -> (least: Int, most: Int) {
    let counts = stride(from: from, to: to - 60, by: 0.25).map { start in
      made.filter { $0 >= start && $0 < start + 60 }.count
    }
    return (counts.min() ?? 0, counts.max() ?? 0)
  }

  @Test("any minute has what the rate says", arguments: [1, 7, 60, 600, 6000, 30_000])
  func rate(_ rate: Int) {
    let made = run(rate, seconds: 200)
    let (least, most) = minutes(made, from: 0, to: 200)
    #expect(Double(least) >= Double(rate) * 0.95 - 1 && Double(most) <= Double(rate) * 1.05 + 1)
    #expect(made.first == 0)
  }

  @Test("a second without a runner is made up for, a minute is not")
  func stalls() {
    let short = run(6000, seconds: 150, stalls: [60...61])
    #expect(minutes(short, from: 0, to: 150).least >= 5700 && minutes(short, from: 0, to: 150).most <= 6300)
    let long = run(6000, seconds: 240, stalls: [60...120])
    #expect(minutes(long, from: 0, to: 240).most <= 6300)
    #expect(minutes(long, from: 121, to: 240).least >= 5700)
  }

  @Test("without a rate it is as many as go at once; large params make small batches")
  func free() {
    let step = CampaignPace(perMinute: nil).step(atMost: 37, now: .now, paidUntil: nil)
    #expect(step == .init(count: 37, paidUntil: nil, pause: 0))
    #expect(CampaignPace.batch(params: 10) == 100 && CampaignPace.batch(params: 1 << 20) == 4)
    #expect(CampaignPace.batch(params: 64 << 20) == 1)
  }
}

import Synchronization
import Threads

/// The metrics of one process, with the names of swift-metrics and the text format of Prometheus.
///
/// Not global: the service makes one and hands it on.
public final class Metrics: Sendable {
  private let families = Locked<[String: Family]>([:])

  /// An empty one.
  public init() {}

  /// A number that only grows; the same name and labels give the same counter.
  public func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
    series(name, help, "counter", labels) { .counter(Counter()) }.counter ?? Counter()
  }

  /// A number that goes up and down.
  public func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
    series(name, help, "gauge", labels) { .gauge(Gauge()) }.gauge ?? Gauge()
  }

  /// How long something takes, as a histogram in seconds.
  public func timer(_ name: String, help: String, labels: [(String, String)] = []) -> Timer {
    series(name, help, "histogram", labels) { .timer(Timer()) }.timer ?? Timer()
  }

  /// All of it, in Prometheus' text format 0.0.4.
  public func text() -> String {
    families.withLock { families in
      families.sorted { $0.key < $1.key }.map { name, family in
        "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.type)\n"
          + family.series.sorted { $0.key < $1.key }.map { $1.text(name, $0) }.joined()
      }.joined()
    }
  }

  private func series(
    _ name: String, _ help: String, _ type: String, _ labels: [(String, String)], _ make: () -> Series
  ) -> Series {
    let key = labels.map { "\($0)=\"\(Self.escape($1))\"" }.joined(separator: ",")
    return families.withLock { families in
      if let series = families[name]?.series[key] { return series }
      let series = make()
      families[name, default: Family(help: help, type: type)].series[key] = series
      return series
    }
  }

  private static func escape(_ value: String) -> String {
    value.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\")
      .split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
      .split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
  }
}

private struct Family {
  let help: String
  let type: String
  var series: [String: Series] = [:]
}

private enum Series {
  case counter(Counter)
  case gauge(Gauge)
  case timer(Timer)

  var counter: Counter? { if case .counter(let counter) = self { counter } else { nil } }
  var gauge: Gauge? { if case .gauge(let gauge) = self { gauge } else { nil } }
  var timer: Timer? { if case .timer(let timer) = self { timer } else { nil } }

  func text(_ name: String, _ labels: String) -> String {
    let braced = labels.isEmpty ? "" : "{\(labels)}"
    return switch self {
    case .counter(let counter): "\(name)\(braced) \(counter.value)\n"
    case .gauge(let gauge): "\(name)\(braced) \(gauge.value)\n"
    case .timer(let timer): timer.text(name, labels)
    }
  }
}

/// A number that only grows.
public final class Counter: Sendable {
  private let count = Atomic<Int>(0)

  /// Adds to it.
  public func increment(by amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }
  /// What it is now.
  public var value: Int { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
  private let bits = Atomic<UInt64>(0)

  /// Sets it.
  public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
  /// What it is now.
  public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How long something takes: counts by upper bound, from half a millisecond to ten seconds.
public final class Timer: Sendable {
  private static let bounds = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  ]
  private struct State {
    var counts = [Int](repeating: 0, count: Timer.bounds.count + 1)
    var sum = 0.0
  }
  private let state = Locked(State())

  /// Notes one duration.
  public func record(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    record(seconds: Double(seconds) + Double(attoseconds) / 1e18)
  }

  /// Notes one duration in seconds.
  public func record(seconds: Double) {
    let index = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    state.withLock {
      $0.counts[index] += 1
      $0.sum += seconds
    }
  }

  func text(_ name: String, _ labels: String) -> String {
    let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
    let before = labels.isEmpty ? "" : labels + ","
    var total = 0
    var lines = ""
    for (bound, count) in zip(Self.bounds.map { "\($0)" } + ["+Inf"], counts) {
      total += count
      lines += "\(name)_bucket{\(before)le=\"\(bound)\"} \(total)\n"
    }
    let braced = labels.isEmpty ? "" : "{\(labels)}"
    return lines + "\(name)_sum\(braced) \(sum)\n\(name)_count\(braced) \(total)\n"
  }
}

import FoundationEssentials

/// CPU seconds of every process of the stack, by pid file, children included (PostgreSQL's, nginx's).
struct ProcessTimes {
  let seconds: [String: Double]

  /// Reads `<name>.pid` of a run folder and `/proc`.
  static func read(_ runFolder: String) -> ProcessTimes {
    var parents: [Int: Int] = [:]
    var ticks: [Int: Double] = [:]
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
      guard let pid = Int(name), let stat = text("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")")
      else { continue }
      let fields = stat[stat.index(end, offsetBy: 2)...].split(separator: " ")
      guard fields.count > 14, let parent = Int(fields[1]) else { continue }
      parents[pid] = parent
      // Own user and system time; for a parent also that of children it has waited for.
      ticks[pid] = fields[11...14].compactMap { Double($0) }.reduce(0, +)
    }
    var seconds: [String: Double] = [:]
    for file in (try? FileManager.default.contentsOfDirectory(atPath: runFolder)) ?? []
    where file.hasSuffix(".pid") {
      guard let pid = text(runFolder + "/" + file).flatMap({ Int($0.filter(\.isNumber)) }) else { continue }
      let family = ticks.keys.filter { isDescendant($0, of: pid, parents) }
      seconds[String(file.dropLast(4))] = family.reduce(0) { $0 + (ticks[$1] ?? 0) } / 100
    }
    seconds["bench (load)"] = ticks[Int(ProcessInfo.processInfo.processIdentifier)].map { $0 / 100 }
    return ProcessTimes(seconds: seconds)
  }

  /// What each used between two readings.
  static func table(_ before: ProcessTimes, _ after: ProcessTimes, per count: Int) -> String {
    var total = 0.0
    var lines = ["CPU, µs per command:"]
    for (name, seconds) in after.seconds.sorted(by: { $0.key < $1.key }) {
      let used = (seconds - (before.seconds[name] ?? 0)) * 1e6 / Double(max(count, 1))
      total += used
      lines.append("  " + name.padding(18) + "\(Int(used.rounded()))".leftPadding(6))
    }
    lines.append("  " + "all".padding(18) + "\(Int(total.rounded()))".leftPadding(6))
    return lines.joined(separator: "\n")
  }

  private static func isDescendant(_ pid: Int, of ancestor: Int, _ parents: [Int: Int]) -> Bool {
    var pid = pid
    while pid > 1 {
      if pid == ancestor { return true }
      pid = parents[pid] ?? 0
    }
    return false
  }

  private static func text(_ path: String) -> String? {
    (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) }
  }
}

extension String {
  fileprivate func padding(_ width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
  fileprivate func leftPadding(_ width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }
}

/// Reads a program's settings from flags and the environment, and explains every one of them for `--help`.
///
/// `--http-port 8080` (or `--http-port=8080`) wins over `MARTLET_HTTP_PORT`, which wins over the default. Secrets
/// come from the environment only: a flag would show in the list of processes.
public struct SettingsReader {
  private struct Entry {
    let flag: String?
    let variable: String
    let fallback: String?
    let help: String
  }

  private let program: String
  private let about: String
  private let environment: [String: String]
  private var flags: [String: [String]] = [:]
  private var entries: [Entry] = []
  private var faults: [String] = []
  private var wantsHelp = false

  /// - Parameters:
  ///   - program: its name, for messages.
  ///   - about: one or two sentences for `--help`.
  ///   - arguments: without the program's own name.
  public init(program: String, about: String, arguments: [String], environment: [String: String]) {
    self.program = program
    self.about = about
    self.environment = environment
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--") else {
        if argument == "-h" { wantsHelp = true } else { faults.append("unexpected argument: \(argument)") }
        continue
      }
      let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      if name == "help" {
        wantsHelp = true
      } else if parts.count == 2 {
        flags[name, default: []].append(String(parts[1]))
      } else if let value = rest.first, !value.hasPrefix("--") {
        flags[name, default: []].append(value)
        rest.removeFirst()
      } else {
        flags[name, default: []].append("true")
      }
    }
  }

  /// A text; without a fallback it has to be given.
  public mutating func string(_ name: String, default fallback: String? = nil, help: String) -> String {
    if let value = optional(name, shown: fallback, help: help) { return value }
    if fallback == nil { faults.append("--\(name) (or \(Self.variable(name))) is missing: \(help)") }
    return fallback ?? ""
  }

  /// A text that may be absent.
  public mutating func optional(_ name: String, help: String) -> String? {
    optional(name, shown: nil, help: help)
  }

  /// A flag that may be given several times; in the environment, separated by commas.
  public mutating func list(_ name: String, help: String) -> [String] {
    entries.append(
      Entry(flag: name, variable: Self.variable(name), fallback: nil, help: help + " (repeatable)"))
    if let given = flags.removeValue(forKey: name) { return given }
    return environment[Self.variable(name)]?.split(separator: ",").map(String.init) ?? []
  }

  /// A whole number.
  public mutating func int(
    _ name: String, default fallback: Int, in range: ClosedRange<Int>, help: String
  ) -> Int {
    guard let text = optional(name, shown: "\(fallback)", help: help) else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      faults.append(
        "--\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound), is \(text)")
      return fallback
    }
    return value
  }

  /// A number.
  public mutating func double(
    _ name: String, default fallback: Double, in range: ClosedRange<Double>, help: String
  ) -> Double {
    guard let text = optional(name, shown: "\(fallback)", help: help) else { return fallback }
    guard let value = Double(text), range.contains(value) else {
      faults.append("--\(name) must be a number from \(range.lowerBound) to \(range.upperBound), is \(text)")
      return fallback
    }
    return value
  }

  /// True if the flag stands there (or is `true` in the environment).
  public mutating func flag(_ name: String, help: String) -> Bool {
    let value = optional(name, shown: "false", help: help) ?? "false"
    if value != "true", value != "false" { faults.append("--\(name) is true or false, is \(value)") }
    return value == "true"
  }

  /// One of a few words.
  public mutating func word<E: RawRepresentable & CaseIterable>(
    _ name: String, default fallback: E, help: String
  ) -> E where E.RawValue == String {
    let words = E.allCases.map(\.rawValue).joined(separator: ", ")
    guard let text = optional(name, shown: fallback.rawValue, help: "\(help) (\(words))") else {
      return fallback
    }
    guard let value = E(rawValue: text) else {
      faults.append("--\(name) must be one of \(words), is \(text)")
      return fallback
    }
    return value
  }

  /// A secret: from the environment only, and in no message.
  public mutating func secret(_ name: String, help: String) -> String {
    entries.append(Entry(flag: nil, variable: Self.variable(name), fallback: nil, help: help))
    if let value = environment[Self.variable(name)], !value.isEmpty { return value }
    faults.append("\(Self.variable(name)) is missing: \(help)")
    return ""
  }

  /// A secret that may be absent: from the environment only, and in no message.
  public mutating func optionalSecret(_ name: String, help: String) -> String? {
    entries.append(Entry(flag: nil, variable: Self.variable(name), fallback: nil, help: help))
    return environment[Self.variable(name)].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Names something that is wrong with settings that are read one by one.
  public mutating func fail(_ fault: String) { faults.append(fault) }

  /// Ends the reading.
  /// - Throws: `SettingsError.help` if it was asked for, `.faults` naming everything that is wrong.
  public consuming func finish() throws(SettingsError) {
    if wantsHelp { throw .help(usage) }
    for name in flags.keys.sorted() { faults.append("unknown flag --\(name)") }
    if !faults.isEmpty { throw .faults(program: program, faults) }
  }

  private mutating func optional(_ name: String, shown: String?, help: String) -> String? {
    entries.append(Entry(flag: name, variable: Self.variable(name), fallback: shown, help: help))
    if let given = flags.removeValue(forKey: name)?.last { return given }
    return environment[Self.variable(name)].flatMap { $0.isEmpty ? nil : $0 }
  }

  private static func variable(_ name: String) -> String {
    "MARTLET_" + name.uppercased().split(separator: "-").joined(separator: "_")
  }

  private var usage: String {
    var text = "\(about)\n\nUsage: \(program) [--setting value …]\n\nSettings (flag, environment variable):\n"
    for entry in entries {
      let names = [entry.flag.map { "--\($0)" }, entry.variable].compactMap { $0 }.joined(separator: ", ")
      text += "  \(names)\n      \(entry.help)\(entry.fallback.map { " [default: \($0)]" } ?? "")\n"
    }
    return text + "  --help\n      Shows this.\n"
  }
}

/// Why a program does not start with the settings that it got.
public enum SettingsError: Error, CustomStringConvertible {
  /// `--help` was asked for; the text is for standard output.
  case help(String)
  /// Everything that is wrong.
  case faults(program: String, [String])

  public var description: String {
    switch self {
    case .help(let text): text
    case .faults(let program, let faults):
      faults.map { "\(program): \($0)\n" }.joined() + "\(program): see --help\n"
    }
  }
}

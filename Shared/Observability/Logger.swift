import FoundationEssentials

/// Writes structured log lines, one JSON object a line, with the shape of swift-log's `Logger`.
///
/// A value: adding metadata makes a new logger and touches no other. Lines go to standard error unless another
/// `LogOutput` is given. Never pass secrets or payloads of devices as metadata.
public struct Logger: Sendable {
  /// How grave a line is; lines below the logger's level cost one comparison.
  public enum Level: String, Sendable, CaseIterable, Comparable {
    case trace, debug, info, notice, warning, error, critical

    // Asked for each line, also for those that are not written.
    private var order: Int {
      switch self {
      case .trace: 0
      case .debug: 1
      case .info: 2
      case .notice: 3
      case .warning: 4
      case .error: 5
      case .critical: 6
      }
    }
    public static func < (a: Level, b: Level) -> Bool { a.order < b.order }
  }

  /// Field names to values, as text.
  public typealias Metadata = [String: String]

  /// What the line is from: the service or the part of it.
  public var label: String
  /// Lines below it are dropped.
  public var level: Level
  /// Fields that every line of this logger carries.
  public var metadata: Metadata
  private let output: any LogOutput

  /// - Parameters:
  ///   - label: the service or part of it that writes.
  ///   - level: the lowest level that is written.
  ///   - output: where lines go; standard error unless given.
  public init(
    label: String, level: Level = .info, metadata: Metadata = [:], output: any LogOutput = StandardError()
  ) {
    self.label = label
    self.level = level
    self.metadata = metadata
    self.output = output
  }

  /// The same logger with more fields on every line.
  public func with(_ more: Metadata) -> Logger {
    var copy = self
    copy.metadata.merge(more) { _, new in new }
    return copy
  }

  /// The same logger under another label.
  public func labelled(_ label: String) -> Logger {
    var copy = self
    copy.label = label
    return copy
  }

  /// Writes one line if `level` is high enough.
  public func log(
    _ level: Level, _ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]
  ) {
    guard level >= self.level else { return }
    var line = "{\"time\":\"\(Date.now.formatted(Self.time))\",\"level\":\"\(level.rawValue)\",\"label\":"
    Self.append(label, to: &line)
    line += ",\"message\":"
    Self.append(message(), to: &line)
    for (name, value) in metadata.merging(more(), uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
      line += ","
      Self.append(name, to: &line)
      line += ":"
      Self.append(value, to: &line)
    }
    line += "}\n"
    output.write(line)
  }

  /// For tracing a program step by step.
  public func trace(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.trace, message(), more())
  }
  /// For finding faults.
  public func debug(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.debug, message(), more())
  }
  /// What an operator wants to see in ordinary life.
  public func info(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.info, message(), more())
  }
  /// Ordinary, but worth a look.
  public func notice(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.notice, message(), more())
  }
  /// Something is wrong and is being waited out.
  public func warning(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.warning, message(), more())
  }
  /// Something failed.
  public func error(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.error, message(), more())
  }
  /// The service cannot go on.
  public func critical(_ message: @autoclosure () -> String, _ more: @autoclosure () -> Metadata = [:]) {
    log(.critical, message(), more())
  }

  private static let time = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

  private static func append(_ text: String, to line: inout String) {
    line += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": line += "\\\""
      case "\\": line += "\\\\"
      case "\n": line += "\\n"
      case "\r": line += "\\r"
      case "\t": line += "\\t"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        line += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: line.unicodeScalars.append(scalar)
      }
    }
    line += "\""
  }
}

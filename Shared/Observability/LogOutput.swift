import Threads

#if canImport(Glibc)
  import Glibc
#endif

/// Where a logger's finished lines go.
public protocol LogOutput: Sendable {
  /// Takes one whole line, its newline included.
  func write(_ line: String)
}

/// Standard error, one `write(2)` a line, so that lines of several threads never mix.
public struct StandardError: LogOutput {
  /// The process's standard error.
  public init() {}

  public func write(_ line: String) {
    var line = line
    line.withUTF8 { bytes in
      // A log that cannot be written has nowhere to say so.
      _ = Glibc.write(2, bytes.baseAddress, bytes.count)
    }
  }
}

/// Keeps lines in memory, for tests that look at what was logged.
public final class LogCapture: LogOutput {
  private let kept = Locked<[String]>([])

  /// An empty one.
  public init() {}

  public func write(_ line: String) { kept.withLock { $0.append(line) } }

  /// Every line so far, in order.
  public var lines: [String] { kept.withLock { $0 } }
}

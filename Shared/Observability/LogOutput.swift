import Threads

#if canImport(Glibc)
  import Glibc
#endif

/// Where a logger's finished lines go.
public protocol LogOutput: Sendable {
  /// Takes one whole line, its newline included.
  func write(_ line: String)
}

/// Standard error, whole lines, so that those of several threads never mix, and never waiting: `write(2)` to a pipe whose
/// reader stands still would stop the loop, and with it the service.
///
/// What the pipe has no room for waits, up to 256 KiB; what comes then is dropped and counted.
public struct StandardError: LogOutput {
  private let pending = Locked(PendingLines(limit: 256 * 1024))

  /// The process's standard error.
  public init() {}

  public func write(_ line: String) {
    pending.withLock { pending in
      pending.add(line)
      while !pending.isEmpty, Self.hasRoom, pending.write(to: 2) {}
    }
  }

  /// A pipe that is ready takes at least `PIPE_BUF` bytes at once.
  private static var hasRoom: Bool {
    var descriptor = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
    return poll(&descriptor, 1, 0) == 1 && Int32(descriptor.revents) & POLLOUT != 0
  }
}

/// Lines that wait to be written.
struct PendingLines: Sendable {
  /// Linux's `PIPE_BUF`: so many bytes are written whole or not at all.
  private static let atOnce = 4096

  let limit: Int
  private var bytes: [UInt8] = []
  private var start = 0
  private var dropped = 0

  init(limit: Int) { self.limit = limit }

  var isEmpty: Bool { start == bytes.count }

  mutating func add(_ line: String) {
    guard bytes.count - start + line.utf8.count <= limit else { return dropped += 1 }
    if dropped > 0 {
      bytes.append(
        contentsOf: #"{"level":"error","label":"log","message":"lines dropped","count":"\#(dropped)"}"#.utf8)
      bytes.append(UInt8(ascii: "\n"))
      dropped = 0
    }
    bytes.append(contentsOf: line.utf8)
  }

  /// Writes a piece; false if nothing could be written.
  mutating func write(to descriptor: Int32) -> Bool {
    let written = bytes[start...].withUnsafeBytes {
      Glibc.write(descriptor, $0.baseAddress, min($0.count, Self.atOnce))
    }
    guard written > 0 else { return false }
    start += written
    if start == bytes.count { (bytes, start) = ([], 0) }
    return true
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

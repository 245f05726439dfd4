import CLinux
import Glibc

/// Wakes a thread that waits in poll or epoll. Rings coalesce.
public final class Bell: Sendable {
  /// To be waited for; readable when somebody has rung. -1 when the system has no descriptor left.
  public let descriptor = martlet_eventfd()

  public init() {}

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// From any thread.
  public func ring() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }

  /// Forgets the rings so far.
  public func silence() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }
}

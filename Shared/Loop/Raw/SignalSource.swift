import CLinux
import Glibc

/// SIGTERM and SIGINT as events of a loop.
public struct SignalSource: Sendable {
  private let descriptor: Int32

  /// From here on the two signals no longer end the process. To be made on the main thread, the only one that hears
  /// them: ours, librdkafka's and Dispatch's block all signals. SIGPIPE is ignored: a client that goes away ends nothing.
  public init() {
    signal(SIGPIPE, SIG_IGN)
    descriptor = martlet_signals()
    precondition(descriptor >= 0, "the system has no descriptor left")
  }

  /// Calls `body` with the name of each signal that comes; on the loop.
  public func watch(on loop: EventLoop, _ body: @escaping (String) -> Void) {
    loop.watch(descriptor, .reading) { [descriptor] _ in
      while case let number = martlet_next_signal(descriptor), number != 0 {
        body(number == SIGTERM ? "SIGTERM" : "SIGINT")
      }
    }
  }
}

import Observability
import Threads

/// Drives any number of sessions with one thread and one epoll.
///
/// libmosquitto does the protocol; this is the loop around it, because the library's own uses `select` and fails
/// above descriptor 1023. Callbacks of the sessions run on the loop's thread: they must copy and leave.
public final class MQTTEventLoop: Sendable {
  let core: LoopCore
  private let thread: Locked<OwnThread?>

  /// Starts the loop's thread.
  ///
  /// - Parameters:
  ///   - name: the thread's name, as debuggers and `top -H` show it (15 bytes of it).
  ///   - logger: for connections lost and refused.
  public init(name: String, logger: Logger) {
    let core = LoopCore(logger: logger)
    self.core = core
    let thread = OwnThread(name) { core.run() }
    if thread == nil {
      logger.critical("no thread for the MQTT loop")
      core.stop()
    }
    self.thread = Locked(thread)
  }

  /// Ends the loop: its sessions lose their sockets as in a crash (disconnect them before, if that matters), whoever
  /// waits for a publication gets `connectionLost`, and the thread ends. Returns when it has, unless called on it.
  public func shutdown() {
    core.stop()
    let thread = thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    guard let thread else { return }
    if thread.isCurrent { thread.detach() } else { thread.join() }
  }

  deinit { shutdown() }
}

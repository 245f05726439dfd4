import CLinux
import Glibc

/// An operating system thread. What blocks in C runs on one of these, never on the cooperative pool, whose few threads
/// everybody shares.
public struct OwnThread: Sendable {
  private let id: pthread_t

  private final class Work: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a thread; nil when the system has no room for one. To be joined or detached.
  /// - Parameter name: for `top -H`; 15 bytes of it count.
  public init?(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let work = Unmanaged.passRetained(Work(String(name.prefix(15)), body))
    var id = pthread_t()
    let code = pthread_create(
      &id, nil,
      { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        martlet_name_thread(work.name)
        martlet_block_signals()
        work.body()
        return nil
      }, work.toOpaque())
    guard code == 0 else {
      work.release()
      return nil
    }
    self.id = id
  }

  /// Whether the caller runs on it.
  public var isCurrent: Bool { pthread_equal(id, pthread_self()) != 0 }
  /// Waits until it has ended.
  public func join() { pthread_join(id, nil) }
  /// Lets it end on its own.
  public func detach() { pthread_detach(id) }

  /// Starts a thread that ends on its own; false when the system has no room for one.
  public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    guard let thread = OwnThread(name, body) else { return false }
    thread.detach()
    return true
  }

  /// Runs `body` on a thread and comes back when it has ended; where there is no room for one, right here.
  public static func run(_ name: String, _ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
      let isStarted = start(name) {
        body()
        continuation.resume()
      }
      if !isStarted {
        body()
        continuation.resume()
      }
    }
  }
}

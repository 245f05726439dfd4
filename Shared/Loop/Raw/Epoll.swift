import CLinux
import Glibc

/// Owns an epoll descriptor: what it says is ready comes by the number with which it was added.
struct Epoll: ~Copyable {
  private let descriptor: Int32
  private let ready = UnsafeMutablePointer<martlet_ready>.allocate(capacity: Int(MARTLET_EPOLL_MOST))

  init() {
    descriptor = martlet_epoll()
    precondition(descriptor >= 0, "the system has no descriptor left")
  }

  deinit {
    close(descriptor)
    ready.deallocate()
  }

  func add(_ watched: Int32, _ interest: Interest, _ number: UInt32) -> Bool {
    martlet_epoll_set(descriptor, EPOLL_CTL_ADD, watched, interest.rawValue, number) == 0
  }

  func change(_ watched: Int32, _ interest: Interest, _ number: UInt32) {
    _ = martlet_epoll_set(descriptor, EPOLL_CTL_MOD, watched, interest.rawValue, number)
  }

  /// Of a descriptor that has been closed already nothing is left to take away.
  func remove(_ watched: Int32) { _ = martlet_epoll_set(descriptor, EPOLL_CTL_DEL, watched, 0, 0) }

  /// Waits until something is ready, at most for `nanoseconds` (below zero: for ever).
  /// - Returns: how many are.
  func wait(_ nanoseconds: Int64) -> Int { max(0, Int(martlet_epoll_wait(descriptor, ready, nanoseconds))) }

  /// One of those that the last wait found.
  func ready(_ index: Int) -> (number: UInt32, events: Interest) {
    (ready[index].source, Interest(rawValue: ready[index].events))
  }
}

/// What is waited for on a descriptor, and what has come of it.
public struct Interest: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Something can be read, or the peer has closed its side.
  public static let reading = Interest(rawValue: EPOLLIN.rawValue)
  /// Something can be written.
  public static let writing = Interest(rawValue: EPOLLOUT.rawValue)
  /// The peer has closed its side, whether or not what it sent has been read.
  public static let closing = Interest(rawValue: EPOLLRDHUP.rawValue)
  /// Told when it comes, not as long as it lasts: for descriptors that nobody reads.
  public static let onChange = Interest(rawValue: EPOLLET.rawValue)
  /// The descriptor is of no more use; always told.
  public static let failed = Interest(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
}

import CMosquitto
import Glibc
import Threads

/// What a descriptor is ready for.
struct Readiness: OptionSet, Sendable {
  let rawValue: UInt32
  static let readable = Readiness(rawValue: EPOLLIN.rawValue)
  static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
  static let hangUp = Readiness(rawValue: EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// One epoll instance with its wake-up. Level-triggered, so that a handler may leave something unread.
final class Poller: Sendable {
  private static let capacity = 256
  static let wakeToken = UInt64.max

  let wakeUp = Bell()
  // Everything but `wakeUp` is used by the loop's thread only: it alone calls the methods below.
  private nonisolated(unsafe) var epoll: Int32
  private nonisolated(unsafe) let events: UnsafeMutablePointer<epoll_event>

  init() {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    events = .allocate(capacity: Self.capacity)
    _ = martlet_epoll_set(epoll, EPOLL_CTL_ADD, wakeUp.descriptor, EPOLLIN.rawValue, Self.wakeToken)
  }

  deinit {
    if epoll >= 0 { close(epoll) }
    events.deallocate()
  }

  /// Begins anew with nothing watched but the wake-up; `false` when the system has no descriptor left (then the old
  /// one goes on).
  func reset() -> Bool {
    let fresh = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard fresh >= 0 else { return false }
    close(epoll)
    epoll = fresh
    _ = martlet_epoll_set(epoll, EPOLL_CTL_ADD, wakeUp.descriptor, EPOLLIN.rawValue, Self.wakeToken)
    return true
  }

  /// Whether the system had descriptors for it.
  var isUsable: Bool { epoll >= 0 && wakeUp.descriptor >= 0 }

  func add(_ descriptor: Int32, token: UInt64, writable: Bool) -> Bool {
    martlet_epoll_set(epoll, EPOLL_CTL_ADD, descriptor, Self.flags(writable), token) == 0
  }

  func change(_ descriptor: Int32, token: UInt64, writable: Bool) {
    _ = martlet_epoll_set(epoll, EPOLL_CTL_MOD, descriptor, Self.flags(writable), token)
  }

  func remove(_ descriptor: Int32) {
    _ = martlet_epoll_set(epoll, EPOLL_CTL_DEL, descriptor, 0, 0)
  }

  /// Waits at most `nanoseconds` (`nil`: until something happens) and hands over what is ready; `false` when
  /// epoll itself fails.
  func wait(nanoseconds: UInt64?, _ handle: (UInt64, Readiness) -> Void) -> Bool {
    // Rounded up: a timer must not be looked at just before its time, again and again.
    let timeout = nanoseconds.map { Int32(min(($0 + 999_999) / 1_000_000, 60_000)) } ?? -1
    let count = epoll_wait(epoll, events, Int32(Self.capacity), timeout)
    guard count >= 0 else { return errno == EINTR }
    for index in 0..<Int(count) {
      handle(martlet_epoll_token(events + index), Readiness(rawValue: events[index].events))
    }
    return true
  }

  private static func flags(_ writable: Bool) -> UInt32 {
    EPOLLIN.rawValue | EPOLLRDHUP.rawValue | (writable ? EPOLLOUT.rawValue : 0)
  }
}

/// Waits for one socket and a wake-up with `poll`, for a thread that owns a single connection.
///
/// - Returns: what the socket is ready for, and whether the wake-up was signalled (it is cleared then).
func pollOne(
  _ descriptor: Int32, _ interest: Readiness, wakeUp: Bell, nanoseconds: UInt64
) -> (Readiness, woken: Bool) {
  // poll's numbers are epoll's.
  var flags = Int32(EPOLLRDHUP.rawValue)
  if interest.contains(.readable) { flags |= POLLIN }
  if interest.contains(.writable) { flags |= POLLOUT }
  // A negative descriptor is ignored by poll.
  var entries = [
    pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
    pollfd(fd: descriptor, events: Int16(flags), revents: 0),
  ]
  let timeout = Int32(min((nanoseconds + 999_999) / 1_000_000, 60_000))
  guard poll(&entries, 2, timeout) > 0 else { return ([], false) }
  let woken = entries[0].revents != 0
  if woken { wakeUp.silence() }
  return (Readiness(rawValue: UInt32(UInt16(bitPattern: entries[1].revents))), woken)
}

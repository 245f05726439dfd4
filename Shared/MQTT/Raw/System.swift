import CMosquitto
import Glibc

/// Nanoseconds of the monotonic clock.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// 64 bits from the kernel.
func randomNumber() -> UInt64 {
  var number: UInt64 = 0
  return getrandom(&number, 8, 0) == 8 ? number : monotonicNanoseconds() &* 0x9E37_79B9_7F4A_7C15
}

extension Duration {
  /// Whole nanoseconds, nothing below zero, bounded so that sums with a clock cannot overflow.
  var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    return UInt64(min(seconds, 1_000_000_000)) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}

/// An operating system thread. Blocking work runs on one of these, never on the cooperative pool.
struct Thread: Sendable {
  private let id: pthread_t

  private final class Body {
    let name: String
    let run: @Sendable () -> Void
    init(name: String, run: @escaping @Sendable () -> Void) {
      self.name = name
      self.run = run
    }
  }

  /// Starts a thread; `nil` when the system has no room for one.
  init?(name: String, _ run: @escaping @Sendable () -> Void) {
    let body = Unmanaged.passRetained(Body(name: name, run: run))
    var id = pthread_t()
    let code = pthread_create(
      &id, nil,
      { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        martlet_name_thread(String(body.name.prefix(15)))
        body.run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      return nil
    }
    self.id = id
  }

  /// Whether the caller runs on it.
  var isCurrent: Bool { pthread_equal(id, pthread_self()) != 0 }
  /// Waits until it has ended.
  func join() { pthread_join(id, nil) }
  /// Lets it end on its own.
  func detach() { pthread_detach(id) }
}

/// An eventfd: any thread signals, one thread waits for it by poll or epoll. Signals coalesce.
final class WakeUp: Sendable {
  /// -1 when the system has no descriptor left.
  let descriptor: Int32

  init() { descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC)) }
  deinit { if descriptor >= 0 { close(descriptor) } }

  func signal() {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
  }

  func clear() {
    var count: UInt64 = 0
    _ = read(descriptor, &count, 8)
  }
}

/// One open `/dev/null` for the whole process.
let nullDescriptor: Int32 = open("/dev/null", O_RDWR | O_CLOEXEC)

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

/// One open `/dev/null` for the whole process.
let nullDescriptor: Int32 = open("/dev/null", O_RDWR | O_CLOEXEC)

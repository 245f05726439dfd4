import CMicroHTTPD
import Glibc

/// Wakes a thread that polls; any number of rings before it looks are one.
final class Bell: Sendable {
  /// Readable while it rings.
  let descriptor = martlet_mhd_bell()

  deinit { close(descriptor) }

  func ring() { martlet_mhd_ring(descriptor) }
  func silence() { martlet_mhd_silence(descriptor) }
}

import CMicroHTTPD
import Glibc

/// A client's connection, owned by libmicrohttpd.
///
/// `@unchecked Sendable`: everything but `resume` is called on the loop. `resume` may be called from any thread (the library
/// locks inside), and its callers hold the lock of the exchange or feed that suspended the connection; the completion
/// callback takes the same lock before the library frees the connection, so the pointer is alive for the whole call.
struct RequestConnection: @unchecked Sendable {
  let pointer: OpaquePointer
  let core: ServerCore

  func suspend() { MHD_suspend_connection(pointer) }
  func resume() {
    MHD_resume_connection(pointer)
    core.mustRun.store(true, ordering: .releasing)
    // From another thread: the loop may sleep, and the library's own wake-up is swallowed by a run that is under way.
    if !core.loop.isCurrent { core.loop.execute {} }
  }

  /// Queues a response; false when the library does not take it.
  func queue(_ response: RawResponse) -> Bool {
    MHD_queue_response(pointer, UInt32(response.status), response.pointer) == .YES
  }

  var remoteAddress: String {
    addressText(martlet_mhd_connection_info(pointer, .CONNECTION_INFO_CLIENT_ADDRESS)?.pointee.client_addr)
  }

  /// The bytes of the first line and the fields.
  var headerBytes: Int {
    martlet_mhd_connection_info(pointer, .CONNECTION_INFO_REQUEST_HEADER_SIZE)?.pointee.header_size ?? 0
  }

  /// Whether the peer has closed its side. A suspended connection is not watched by the library, so whoever is about
  /// to suspend one in the middle of a response asks first.
  var isPeerGone: Bool {
    guard let info = martlet_mhd_connection_info(pointer, .CONNECTION_INFO_CONNECTION_FD) else { return true }
    var descriptor = pollfd(fd: info.pointee.connect_fd, events: Int16(POLLRDHUP), revents: 0)
    return poll(&descriptor, 1, 0) > 0 && Int32(descriptor.revents) & (POLLRDHUP | POLLHUP | POLLERR) != 0
  }

  /// The header fields in the order in which they came.
  func headers() -> HTTPFields {
    var fields = HTTPFields()
    fields.reserveCapacity(8)
    withUnsafeMutablePointer(to: &fields) { place in
      _ = MHD_get_connection_values_n(
        pointer, .HEADER_KIND,
        { context, _, name, nameLength, value, valueLength in
          guard let fields = context?.assumingMemoryBound(to: HTTPFields.self) else { return .NO }
          fields.pointee.append(text(name, nameLength), text(value, valueLength))
          return .YES
        }, place)
    }
    return fields
  }
}

private let POLLRDHUP: Int32 = 0x2000

private func text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
  String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : length), as: UTF8.self)
}

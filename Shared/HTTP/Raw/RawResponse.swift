import CMicroHTTPD

/// Owns one reference to a response of libmicrohttpd; queueing it gives the library its own.
///
/// `@unchecked Sendable`: it is filled in `init` by one thread and handed over under the exchange's lock; the library
/// counts references under a lock of its own, so the last one may go on any thread.
final class RawResponse: @unchecked Sendable {
  let pointer: OpaquePointer
  let status: Int
  let isStream: Bool

  /// `nil` when a field may not stand in a header, the status is not one, or memory is out.
  init?(_ response: HTTPResponse, feed: BodyFeed?, closes: Bool) {
    guard (200...599).contains(response.status), let pointer = Self.make(response.body, feed) else {
      return nil
    }
    self.pointer = pointer
    status = response.status
    isStream = feed != nil
    var done = true
    for field in response.headers where !Self.isServersOwn(field.name) {
      done = done && Self.add(field, to: pointer)
    }
    if closes { done = done && Self.add(.init("Connection", "close"), to: pointer) }
    // From here on deinit runs, also for a failed init: every stored property is set.
    guard done else { return nil }
  }

  deinit { MHD_destroy_response(pointer) }

  private static func make(_ body: HTTPBody, _ feed: BodyFeed?) -> OpaquePointer? {
    if let feed {
      let context = Unmanaged.passRetained(feed)
      let response = MHD_create_response_from_callback(
        feed.length.map { UInt64($0) } ?? .max, feed.length == nil ? 4096 : 65536,
        { BodyFeed.at($0)?.read(into: $2, upTo: $3) ?? -2 }, context.toOpaque(),
        { BodyFeed.released(by: $0) })
      if response == nil { context.release() }
      return response
    }
    guard case .bytes(var bytes) = body else {
      return MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT)
    }
    // The one copy of a body: the library wants memory that does not move, which an array's is not.
    return bytes.withUnsafeMutableBytes {
      MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY)
    }
  }

  private static func add(_ field: HTTPFields.Field, to response: OpaquePointer) -> Bool {
    HTTPFields.isToken(field.name) && HTTPFields.isValue(field.value)
      && (field.value.isEmpty || MHD_add_response_header(response, field.name, field.value) == .YES)
  }

  private static func isServersOwn(_ name: String) -> Bool {
    ["Date", "Content-Length", "Transfer-Encoding"].contains { HTTPFields.same($0, name) }
  }
}

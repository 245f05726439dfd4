/// Writes a streamed body; see `HTTPResponse.stream`.
public struct HTTPBodyWriter: Sendable {
  let feed: BodyFeed

  /// Sends these bytes, waiting while the client is slower than the writer: at most 64 KiB and one write are kept.
  ///
  /// A client that has gone is noticed when something is written to it, so a stream that can be silent for long has
  /// to write a heartbeat now and then.
  /// - Throws: `HTTPStreamError` when the client has gone or the server stops, `CancellationError`.
  public func write(_ bytes: [UInt8]) async throws { try await feed.write(bytes) }

  /// Sends the text as UTF-8.
  public func write(_ text: String) async throws { try await feed.write(Array(text.utf8)) }
}

/// Why nothing more can be written to a stream.
public enum HTTPStreamError: Error, Equatable, CustomStringConvertible {
  /// The client closed the connection, or it broke.
  case clientGone
  /// The server is shutting down.
  case serverStopping

  /// In words.
  public var description: String {
    switch self {
    case .clientGone: "the client has gone"
    case .serverStopping: "the server is shutting down"
    }
  }
}

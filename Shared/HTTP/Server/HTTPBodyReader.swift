/// Reads a request's body while it comes; see `HTTPServerConfiguration.StreamedBodies`.
public struct HTTPBodyReader: Sendable {
  let intake: BodyIntake

  /// The next bytes, as many as have come; nil at the end. One reader at a time. While nobody reads, the client waits, beyond
  /// some hundred kilobytes.
  /// - Throws: `HTTPStreamError` when the client has gone (noticed at the latest when the connection's time-out is over) or
  ///   the server stops: then there is no whole body.
  public func next() async throws -> [UInt8]? { try await intake.next() }
}

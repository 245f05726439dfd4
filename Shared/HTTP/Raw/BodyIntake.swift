import Threads

/// Between libmicrohttpd, which receives a body, and the handler that reads it.
///
/// What has come and is not read is kept up to a mark; beyond it the connection is suspended, under the lock, and the next
/// read resumes it, under the same lock: so no connection is resumed that is not suspended.
final class BodyIntake: Sendable {
  private struct State {
    var kept: [UInt8] = []
    var isComplete = false
    var fault: HTTPStreamError?
    var reader: CheckedContinuation<[UInt8]?, any Error>?
    /// While it is suspended.
    var connection: RequestConnection?
  }

  private static let highWater = 256 << 10

  private let state = Locked(State())

  /// A piece has come. On the loop, in the library's callback.
  func take(_ piece: UnsafeRawBufferPointer, from connection: RequestConnection) {
    let (reader, bytes) = state.withLock { state -> (CheckedContinuation<[UInt8]?, any Error>?, [UInt8]) in
      if let reader = state.reader.take() { return (reader, Array(piece)) }
      state.kept.append(contentsOf: piece)
      if state.kept.count >= Self.highWater {
        connection.suspend()
        state.connection = connection
      }
      return (nil, [])
    }
    reader?.resume(returning: bytes)
  }

  /// All of it has come.
  func complete() {
    let reader = state.withLock { state in
      state.isComplete = true
      return state.reader.take()
    }
    reader?.resume(returning: nil)
  }

  /// There will be no more of it, and nobody may take what came for the whole.
  func fail(_ fault: HTTPStreamError) {
    let reader = state.withLock { state in
      if !state.isComplete, state.fault == nil { state.fault = fault }
      if !state.isComplete { state.kept = [] }
      // The library frees the connection of a client that has gone; any other has to go on.
      if fault == .clientGone { state.connection = nil } else { state.connection.take()?.resume() }
      return state.reader.take()
    }
    reader?.resume(throwing: fault)
  }

  /// Nobody reads it any more: what waits may come, to be dropped.
  func abandon() {
    state.withLock { state in
      state.kept = []
      state.connection.take()?.resume()
    }
  }

  func next() async throws -> [UInt8]? {
    try await withCheckedThrowingContinuation { reader in
      let answer = state.withLock { state -> Result<[UInt8]?, any Error>? in
        if let fault = state.fault { return .failure(fault) }
        if !state.kept.isEmpty {
          defer { state.kept = [] }
          state.connection.take()?.resume()
          return .success(state.kept)
        }
        if state.isComplete { return .success(nil) }
        precondition(state.reader == nil, "two read one body")
        state.reader = reader
        return nil
      }
      if let answer { reader.resume(with: answer) }
    }
  }
}

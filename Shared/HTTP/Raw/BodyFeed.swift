import Threads

/// Between a producer, which may run on any thread, and libmicrohttpd's thread, which sends.
///
/// The reader takes what is there; with nothing there it suspends the connection, under the lock, and the next write
/// resumes it, under the same lock: so no wake-up is lost, and no connection is resumed that is not suspended.
final class BodyFeed: Sendable {
  private enum End { case complete, broken }

  private struct State {
    var connection: RequestConnection?
    var isSuspended = false
    var pending: [UInt8] = []
    var offset = 0
    var end: End?
    var refused: HTTPStreamError?
    var waiting: [Int: CheckedContinuation<Void, any Error>] = [:]
    var nextWaiter = 0
    var producer: Task<Void, Never>?

    var available: Int { pending.count - offset }
  }

  private static let highWater = 64 << 10
  private static let lowWater = 16 << 10

  private let stream: HTTPStream
  private let state = Locked(State())

  init(_ stream: HTTPStream) { self.stream = stream }

  var length: Int? { stream.length }

  /// Called on libmicrohttpd's thread just before the response is queued.
  func start(on connection: RequestConnection) {
    let task = state.withLock { state -> Bool in
      state.connection = connection
      return state.end == nil
    }
    guard task else { return }
    let producer = connection.core.loop.task { [self] in
      do {
        try await stream.produce(HTTPBodyWriter(feed: self))
        finish(.complete)
      } catch {
        finish(.broken)
      }
    }
    let late = state.withLock { state in
      state.producer = producer
      return state.refused != nil
    }
    if late { producer.cancel() }
  }

  func write(_ bytes: [UInt8]) async throws {
    let mustWait = try state.withLock { state in
      if let refused = state.refused { throw refused }
      if state.available == 0 {
        (state.pending, state.offset) = (bytes, 0)
      } else {
        state.pending.append(contentsOf: bytes)
      }
      if !bytes.isEmpty { Self.wake(&state) }
      return state.available > Self.highWater
    }
    if mustWait { try await wait() }
  }

  private func wait() async throws {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let answer = state.withLock { state -> Result<Void, any Error>? in
          if let refused = state.refused { return .failure(refused) }
          if state.available <= Self.lowWater { return .success(()) }
          // A cancel that came before this is seen here, one that comes after finds the continuation.
          if Task.isCancelled { return .failure(CancellationError()) }
          state.waiting[id] = continuation
          return nil
        }
        if let answer { continuation.resume(with: answer) }
      }
    } onCancel: {
      state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: CancellationError())
    }
  }

  /// The server stops: an endless stream ends well after what is in the buffer, another one only by `force`, broken.
  func stop(force: Bool) {
    guard stream.isEndless || force else { return }
    let end: End = stream.isEndless ? .complete : .broken
    close(.serverStopping) { state in
      if state.end == nil { state.end = end }
      Self.wake(&state)
    }
  }

  private func finish(_ end: End) {
    state.withLock { state in
      if state.end == nil { state.end = end }
      Self.wake(&state)
    }
  }

  private func close(_ reason: HTTPStreamError, _ change: @Sendable (inout State) -> Void) {
    let (waiting, producer) = state.withLock { state in
      if state.refused == nil { state.refused = reason }
      change(&state)
      defer { state.waiting = [:] }
      return (Array(state.waiting.values), state.producer)
    }
    for continuation in waiting { continuation.resume(throwing: reason) }
    producer?.cancel()
  }

  private static func wake(_ state: inout State) {
    guard state.isSuspended else { return }
    state.isSuspended = false
    state.connection?.resume()
  }
}

/// The callbacks of libmicrohttpd, all on its thread.
extension BodyFeed {
  /// The feed behind the library's opaque context, which holds one reference from `RawResponse` until `released`.
  static func at(_ context: UnsafeMutableRawPointer?) -> BodyFeed? {
    context.map { Unmanaged<BodyFeed>.fromOpaque($0).takeUnretainedValue() }
  }

  /// The library is done with the body: sent to its end, or the client has gone.
  static func released(by context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<BodyFeed>.fromOpaque(context).takeRetainedValue().close(.clientGone) { state in
      (state.connection, state.pending, state.offset) = (nil, [], 0)
    }
  }

  /// Copies what is there, up to `limit` bytes; 0 with the connection suspended; -1 at the end; -2 to break.
  func read(into buffer: UnsafeMutablePointer<CChar>?, upTo limit: Int) -> Int {
    let (count, waiting) = state.withLock { state -> (Int, [CheckedContinuation<Void, any Error>]) in
      let count = min(limit, state.available)
      guard count > 0 else { return (Self.idle(&state), []) }
      UnsafeMutableRawBufferPointer(start: buffer, count: count)
        .copyBytes(from: state.pending[state.offset..<(state.offset + count)])
      state.offset += count
      guard state.available <= Self.lowWater else { return (count, []) }
      if state.available == 0 { (state.pending, state.offset) = ([], 0) }
      defer { state.waiting = [:] }
      return (count, Array(state.waiting.values))
    }
    for continuation in waiting { continuation.resume() }
    return count
  }

  private static func idle(_ state: inout State) -> Int {
    switch state.end {
    case .complete: return -1
    case .broken: return -2
    case nil:
      guard let connection = state.connection, !connection.isPeerGone else { return -2 }
      connection.suspend()
      state.isSuspended = true
      return 0
    }
  }
}

import CMicroHTTPD
import Threads

/// One request and its answer, from the first line to the last byte.
///
/// libmicrohttpd holds one reference as the request's opaque context: made in its URI callback, given back in its
/// completion callback, which it calls exactly once for each. The state is handed between its thread and the
/// handler's task under the lock.
final class Exchange: Sendable {
  private enum Phase {
    case fresh
    case receiving
    /// The rest of the body is read and dropped, then this is answered.
    case dropping(HTTPRefusal)
    /// The connection is suspended; the handler's task owns the answer.
    case answering
    case answered(RawResponse, BodyFeed?)
    case sent
  }

  private struct State {
    var phase = Phase.fresh
    var connection: RawConnection?
    var request: HTTPRequest?
    var body: [UInt8] = []
    var dropped = 0
    var feed: BodyFeed?
  }

  let core: ServerCore
  private let target: String
  private let state = Locked(State())

  init(core: ServerCore, target: UnsafePointer<CChar>?) {
    self.core = core
    // Bytes that are not UTF-8 leave a target that no rule lets through.
    self.target = target.flatMap { String(validatingCString: $0) } ?? ""
  }

  /// One call of the access handler: the head, a piece of the body, or the request's end (or the answer's coming).
  func access(
    _ connection: RawConnection, _ method: String, _ version: String, _ piece: UnsafeRawBufferPointer
  ) -> Bool {
    switch state.withLock({ step(&$0, connection, method, version, piece) }) {
    case .goOn: return true
    case .close: return false
    case .serve: return serve(connection)
    case .refuse(let refusal): return refuse(refusal, connection)
    case .send(let response, let feed): return send(response, feed, connection)
    }
  }

  private enum Step {
    case goOn, close, serve
    case refuse(HTTPRefusal)
    case send(RawResponse, BodyFeed?)
  }

  private func step(
    _ state: inout State, _ connection: RawConnection, _ method: String, _ version: String,
    _ piece: UnsafeRawBufferPointer
  ) -> Step {
    switch state.phase {
    case .fresh: return begin(&state, connection, method, version)
    case .receiving where piece.isEmpty: return .serve
    case .receiving:
      guard state.body.count + piece.count <= core.configuration.maximumBodyBytes else {
        (state.phase, state.body, state.dropped) = (.dropping(.bodyTooLarge), [], piece.count)
        return .goOn
      }
      state.body.append(contentsOf: piece)
      return .goOn
    case .dropping(let refusal) where piece.isEmpty: return .refuse(refusal)
    case .dropping:
      state.dropped += piece.count
      return state.dropped <= core.dropLimit ? .goOn : .close
    case .answered(let response, let feed):
      state.phase = .sent
      return .send(response, feed)
    case .answering, .sent: return .goOn
    }
  }

  private func begin(
    _ state: inout State, _ connection: RawConnection, _ method: String, _ version: String
  ) -> Step {
    let headers = connection.headers()
    let framing = RequestFraming(headers, isHTTP11: version == "HTTP/1.1")
    let request = HTTPRequest(
      method: HTTPMethod(method), target: target, headers: headers, remoteAddress: connection.remoteAddress)
    let refusal = refusal(request, framing, connection)
    guard let refusal else {
      state.phase = .receiving
      state.request = request
      state.body.reserveCapacity(framing.length ?? 0)
      return .goOn
    }
    guard framing.canBeRead(upTo: core.dropLimit) else { return .refuse(refusal) }
    state.phase = .dropping(refusal)
    return .goOn
  }

  private func refusal(_ request: HTTPRequest, _ framing: RequestFraming, _ connection: RawConnection)
    -> HTTPRefusal?
  {
    if let fault = framing.fault { return fault }
    if request.hasMalformedTarget { return .malformedTarget }
    if connection.headerBytes > core.configuration.maximumHeaderBytes { return .headersTooLarge }
    return (framing.length ?? 0) > core.configuration.maximumBodyBytes ? .bodyTooLarge : nil
  }

  private func serve(_ connection: RawConnection) -> Bool {
    if let refusal = core.admit(self) { return refuse(refusal, connection) }
    let request = state.withLock { state -> HTTPRequest? in
      // A shutdown may have been here since `admit`; then the answer is there already.
      guard case .receiving = state.phase, var request = state.request.take() else { return nil }
      (request.body, state.body) = (state.body, [])
      connection.suspend()
      (state.connection, state.phase) = (connection, .answering)
      return request
    }
    guard let request else { return access(connection, "", "", UnsafeRawBufferPointer(start: nil, count: 0)) }
    core.loop.arrived(1)
    // Not immediately: a resume within the library's own callback gets lost (0.9.75, with requests that follow at once).
    core.loop.task { self.answer(with: await self.core.handler(request), to: request.method) }
    return true
  }

  private func refuse(_ refusal: HTTPRefusal, _ connection: RawConnection) -> Bool {
    let closes = refusal.endsConnection || core.closesConnections
    guard let response = RawResponse(core.refuser(refusal), feed: nil, closes: closes) else { return false }
    state.withLock { $0.phase = .sent }
    return connection.queue(response)
  }

  private func send(_ response: RawResponse, _ feed: BodyFeed?, _ connection: RawConnection) -> Bool {
    feed?.start(on: connection)
    return connection.queue(response)
  }
}

extension Exchange {
  /// Hands the answer over and wakes the connection; without effect when the exchange has one already.
  func answer(with response: HTTPResponse, to method: HTTPMethod = .get) {
    var feed: BodyFeed?
    if case .stream(let stream) = response.body { feed = BodyFeed(stream) }
    guard let raw = prepare(response, feed) else { return }
    // For these the library never asks for a body, and nobody may produce one.
    let hasBody = method != .head && raw.status != 204 && raw.status != 304
    let running = hasBody && raw.isStream ? feed : nil
    state.withLock { state in
      switch state.phase {
      case .answering:
        (state.phase, state.feed) = (.answered(raw, running), running)
        // Under the lock: see RawConnection.
        state.connection?.resume()
      case .receiving: state.phase = .answered(raw, running)
      case .fresh, .dropping, .answered, .sent: break
      }
    }
  }

  /// See `BodyFeed.stop`.
  func endFeed(force: Bool) { state.withLock { $0.feed }?.stop(force: force) }

  /// The library's last word on this exchange: sent, or the client has gone.
  func completed() {
    state.withLock { state in
      (state.phase, state.connection, state.feed) = (.sent, nil, nil)
    }
    core.completed(self)
  }

  private func prepare(_ response: HTTPResponse, _ feed: BodyFeed?) -> RawResponse? {
    let closes = core.closesConnections
    if let raw = RawResponse(response, feed: feed, closes: closes) { return raw }
    core.logger.error(
      "response not sent: its status or a header field is not allowed",
      ["status": "\(response.status)", "names": response.headers.map(\.name).joined(separator: " ")])
    return RawResponse(.text("The response could not be made.\n", status: 500), feed: nil, closes: closes)
  }
}

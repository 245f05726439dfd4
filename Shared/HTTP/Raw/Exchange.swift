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
    /// The handler's task reads the body while it comes.
    case streaming(BodyIntake)
    /// It has answered before the body's end: the rest is read and dropped first.
    case discarding(RawResponse, BodyFeed?)
    /// The rest of the body is read and dropped, then this is answered.
    case dropping(HTTPRefusal)
    /// The connection is suspended; the handler's task owns the answer.
    case answering
    case answered(RawResponse, BodyFeed?)
    case sent
  }

  private struct State {
    var phase = Phase.fresh
    var connection: RequestConnection?
    var request: HTTPRequest?
    var body: [UInt8] = []
    var dropped = 0
    /// The longest body that its path takes.
    var limit = 0
    /// What it has of the room for large bodies.
    var room = 0
    var feed: BodyFeed?
    var intake: BodyIntake?
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
    _ connection: RequestConnection, _ method: String, _ version: String, _ piece: UnsafeRawBufferPointer
  ) -> Bool {
    switch state.withLock({ step(&$0, connection, method, version, piece) }) {
    case .goOn: return true
    case .close: return false
    case .serve: return serve(connection)
    case .stream(let request): answer(request)
    case .take(let intake): intake.take(piece, from: connection)
    case .complete(let intake): intake.complete()
    case .refuse(let refusal): return refuse(refusal, connection)
    case .send(let response, let feed): return send(response, feed, connection)
    }
    return true
  }

  private enum Step {
    case goOn, close, serve
    case stream(HTTPRequest)
    case take(BodyIntake)
    case complete(BodyIntake)
    case refuse(HTTPRefusal)
    case send(RawResponse, BodyFeed?)
  }

  private func step(
    _ state: inout State, _ connection: RequestConnection, _ method: String, _ version: String,
    _ piece: UnsafeRawBufferPointer
  ) -> Step {
    switch state.phase {
    case .fresh: return begin(&state, connection, method, version)
    case .receiving where piece.isEmpty: return .serve
    case .receiving:
      if let refusal = refusal(&state, another: piece.count) {
        (state.phase, state.body, state.dropped) = (.dropping(refusal), [], piece.count)
        return .goOn
      }
      state.body.append(contentsOf: piece)
      return .goOn
    case .streaming(let intake) where piece.isEmpty:
      connection.suspend()
      (state.connection, state.phase) = (connection, .answering)
      return .complete(intake)
    case .streaming(let intake): return .take(intake)
    case .discarding(let response, let feed) where piece.isEmpty:
      state.phase = .sent
      return .send(response, feed)
    case .discarding:
      state.dropped += piece.count
      return state.dropped <= core.streamDropLimit ? .goOn : .close
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

  private func refusal(_ state: inout State, another count: Int) -> HTTPRefusal? {
    let total = state.body.count + count
    if total > state.limit { return .bodyTooLarge }
    guard total > core.configuration.maximumBodyBytes else { return nil }
    guard core.takeRoom(total - state.room) else { return .tooManyRequests }
    state.room = total
    return nil
  }

  private func begin(
    _ state: inout State, _ connection: RequestConnection, _ method: String, _ version: String
  ) -> Step {
    let headers = connection.headers()
    let framing = RequestFraming(headers, isHTTP11: version == "HTTP/1.1")
    let request = HTTPRequest(
      method: HTTPMethod(method), target: target, headers: headers, remoteAddress: connection.remoteAddress)
    let isStreamed = core.isStreamed(request)
    state.limit = isStreamed ? .max : core.maximumBodyBytes(request.path)
    var refusal = refusal(request, framing, connection, limit: state.limit)
    if refusal == nil, isStreamed { refusal = core.admit(self) }
    guard let refusal else {
      if isStreamed { return stream(request, &state) }
      state.phase = .receiving
      state.request = request
      state.body.reserveCapacity(min(framing.length ?? 0, core.configuration.maximumBodyBytes))
      return .goOn
    }
    guard framing.canBeRead(upTo: core.dropLimit) else { return .refuse(refusal) }
    state.phase = .dropping(refusal)
    return .goOn
  }

  private func stream(_ request: HTTPRequest, _ state: inout State) -> Step {
    let intake = BodyIntake()
    (state.phase, state.intake) = (.streaming(intake), intake)
    var request = request
    request.stream = HTTPBodyReader(intake: intake)
    return .stream(request)
  }

  private func refusal(
    _ request: HTTPRequest, _ framing: RequestFraming, _ connection: RequestConnection, limit: Int
  ) -> HTTPRefusal? {
    if let fault = framing.fault { return fault }
    if request.hasMalformedTarget { return .malformedTarget }
    if connection.headerBytes > core.configuration.maximumHeaderBytes { return .headersTooLarge }
    return (framing.length ?? 0) > limit ? .bodyTooLarge : nil
  }

  private func serve(_ connection: RequestConnection) -> Bool {
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
    answer(request)
    return true
  }

  private func answer(_ request: HTTPRequest) {
    core.loop.arrived(1)
    // Not immediately: a resume within the library's own callback gets lost (0.9.75, with requests that follow at once).
    core.loop.task { self.answer(with: await self.core.handler(request), to: request.method) }
  }

  private func refuse(_ refusal: HTTPRefusal, _ connection: RequestConnection) -> Bool {
    let closes = refusal.endsConnection || core.closesConnections
    guard let response = RawResponse(core.refuser(refusal), feed: nil, closes: closes) else { return false }
    state.withLock { $0.phase = .sent }
    return connection.queue(response)
  }

  private func send(_ response: RawResponse, _ feed: BodyFeed?, _ connection: RequestConnection) -> Bool {
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
        // Under the lock: see RequestConnection.
        state.connection?.resume()
      case .receiving: state.phase = .answered(raw, running)
      case .streaming(let intake):
        (state.phase, state.feed) = (.discarding(raw, running), running)
        intake.abandon()
      case .fresh, .dropping, .discarding, .answered, .sent: break
      }
    }
  }

  /// See `BodyFeed.stop`; what has not wholly come by then is broken too.
  func endFeed(force: Bool) {
    let (feed, intake) = state.withLock { ($0.feed, $0.intake) }
    feed?.stop(force: force)
    if force { intake?.fail(.serverStopping) }
  }

  /// The library's last word on this exchange: sent, or the client has gone.
  func completed() {
    let (room, intake) = state.withLock { state in
      (state.phase, state.connection, state.feed) = (.sent, nil, nil)
      defer { (state.room, state.intake) = (0, nil) }
      return (state.room, state.intake)
    }
    intake?.fail(.clientGone)
    core.giveRoom(room)
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

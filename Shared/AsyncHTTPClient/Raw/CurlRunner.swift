import CCurl
import Glibc
import Threads

/// libcurl's multi handle with an epoll of our own; lives and dies on the client's thread.
///
/// `curl_multi_perform` looks at every transfer each time; with the socket interface a wake-up costs only what has
/// something to do, which matters with hundreds in flight.
final class CurlRunner {
  private let multi: UnsafeMutableRawPointer
  private let epoll: Int32
  private let bell: Bell
  private let configuration: HTTPClientConfiguration
  private var active: [UnsafeMutableRawPointer: CurlTransfer] = [:]
  private var handles: [ObjectIdentifier: UnsafeMutableRawPointer] = [:]
  private var idle: [UnsafeMutableRawPointer] = []
  /// Those that wait until one under way is done, in order.
  private var waiting: [Transfer] = []
  private var watched: Set<Int32> = []

  private static let isReady = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK

  init?(_ configuration: HTTPClientConfiguration, bell: Bell) {
    guard Self.isReady, let multi = curl_multi_init() else { return nil }
    self.multi = multi
    self.bell = bell
    self.configuration = configuration
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    watch(bell.descriptor, EPOLL_CTL_ADD, EPOLLIN.rawValue)
    // The limit is kept here: transfers that libcurl 7.88 itself makes wait for a free connection
    // (CURLMOPT_MAX_HOST_CONNECTIONS) were seen to wait for ever with every connection idle.
    _ = martlet_curl_multi_set_long(
      multi, CURLMOPT_MAXCONNECTS, max(64, 2 * configuration.maximumConnections))
    let context = Unmanaged.passUnretained(self).toOpaque()
    _ = martlet_curl_multi_set_socket(
      multi, { _, socket, what, context, _ in CurlRunner.at(context)?.socketChanged(socket, what) ?? 0 },
      context)
  }

  deinit {
    for easy in idle { curl_easy_cleanup(easy) }
    curl_multi_cleanup(multi)
    close(epoll)
  }

  /// Works until the inbox says stop.
  func run(takeInbox: () -> CurlLoop.Inbox) {
    var events = [epoll_event](repeating: epoll_event(), count: 128)
    while true {
      let count = epoll_wait(epoll, &events, Int32(events.count), delay())
      for event in events.prefix(max(0, Int(count))) { handle(event) }
      let inbox = takeInbox()
      waiting += inbox.added
      for transfer in inbox.dropped { drop(transfer) }
      if inbox.stops { return stop() }
      if delay() == 0 { act(CURL_SOCKET_TIMEOUT, 0) }
      finishDone()
      beginWaiting()
    }
  }

  private func beginWaiting() {
    let room = configuration.maximumConnections - active.count
    guard room > 0, !waiting.isEmpty else { return }
    let next = waiting.prefix(room)
    waiting.removeFirst(next.count)
    for transfer in next where !transfer.hasEnded { begin(transfer) }
  }

  private func handle(_ event: epoll_event) {
    guard event.data.fd != bell.descriptor else {
      bell.silence()
      return
    }
    var what: Int32 = 0
    if event.events & EPOLLIN.rawValue != 0 { what |= CURL_CSELECT_IN }
    if event.events & EPOLLOUT.rawValue != 0 { what |= CURL_CSELECT_OUT }
    if event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { what |= CURL_CSELECT_ERR }
    act(event.data.fd, what)
  }

  private func act(_ socket: Int32, _ what: Int32) {
    var running: Int32 = 0
    _ = curl_multi_socket_action(multi, socket, what, &running)
  }

  private func begin(_ transfer: Transfer) {
    guard let easy = idle.popLast() ?? curl_easy_init() else {
      transfer.finish(.failure(HTTPClientError.failed("out of memory")))
      return
    }
    let running = CurlTransfer(transfer, configuration, easy)
    active[easy] = running
    handles[ObjectIdentifier(transfer)] = easy
    if curl_multi_add_handle(multi, easy) != CURLM_OK {
      release(easy)
      transfer.finish(.failure(HTTPClientError.failed("libcurl did not take the request")))
    }
  }

  private func drop(_ transfer: Transfer) {
    guard let easy = handles[ObjectIdentifier(transfer)] else {
      waiting.removeAll { $0 === transfer }
      return
    }
    curl_multi_remove_handle(multi, easy)
    release(easy)
  }

  private func finishDone() {
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
      let code = martlet_curl_result(message)
      curl_multi_remove_handle(multi, easy)
      let running = active[easy]
      release(easy)
      running?.finish(code)
    }
  }

  /// The handle can serve the next request; its connection stays with the multi handle.
  private func release(_ easy: UnsafeMutableRawPointer) {
    if let running = active.removeValue(forKey: easy) {
      handles[ObjectIdentifier(running.transfer)] = nil
      running.readStatus()
    }
    curl_easy_reset(easy)
    idle.append(easy)
  }

  private func stop() {
    for (easy, running) in active {
      curl_multi_remove_handle(multi, easy)
      curl_easy_cleanup(easy)
      running.transfer.finish(.failure(HTTPClientError.clientShutDown))
    }
    for transfer in waiting { transfer.finish(.failure(HTTPClientError.clientShutDown)) }
    (active, handles, waiting) = ([:], [:], [])
  }
}

/// What libcurl wants to be woken for.
extension CurlRunner {
  fileprivate static func at(_ context: UnsafeMutableRawPointer?) -> CurlRunner? {
    context.map { Unmanaged<CurlRunner>.fromOpaque($0).takeUnretainedValue() }
  }

  fileprivate func socketChanged(_ socket: Int32, _ what: Int32) -> Int32 {
    guard what != CURL_POLL_REMOVE else {
      if watched.remove(socket) != nil { watch(socket, EPOLL_CTL_DEL, 0) }
      return 0
    }
    var events: UInt32 = 0
    if what & CURL_POLL_IN != 0 { events |= EPOLLIN.rawValue }
    if what & CURL_POLL_OUT != 0 { events |= EPOLLOUT.rawValue }
    watch(socket, watched.insert(socket).inserted ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, events)
    return 0
  }

  private func watch(_ socket: Int32, _ operation: Int32, _ events: UInt32) {
    var event = epoll_event(events: events, data: epoll_data_t(fd: socket))
    epoll_ctl(epoll, operation, socket, &event)
  }

  /// Until libcurl wants to be called again, in milliseconds; -1 for never.
  ///
  /// Asked for each time: its timer callback is silent while its next time stays the same, so that one wake-up a
  /// moment too early would be the last (seen: requests that waited for a free connection waited for ever).
  private func delay() -> Int32 {
    var milliseconds = 0
    guard curl_multi_timeout(multi, &milliseconds) == CURLM_OK, milliseconds >= 0 else { return -1 }
    return Int32(clamping: milliseconds)
  }
}

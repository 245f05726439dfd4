import CMicroHTTPD
import Dispatch
import Glibc
import Synchronization
import Threads

/// Owns a running daemon of libmicrohttpd and the thread that turns it, which calls back into a `ServerCore`.
///
/// The thread is ours (the library's external mode): its own one asks epoll again with the same long time-out after
/// a round of exactly 128 events, and then leaves those 128 connections unread until something else happens (seen
/// in 0.9.75: a load of 128 connections stopped dead). `MHD_run` never waits, so that cannot happen here. But it may
/// swallow the library's own wake-up of a connection that is resumed while it runs: so each resumption rings our bell.
///
/// `@unchecked Sendable`: every stored property is constant or atomic. The library's daemon behind `pointer` is run, and
/// asked for its connections, by our thread only; `HTTPServer` calls `quiesce` and `stop` once each, in this order, which
/// the library allows from another thread, and `stop` waits for ours to end first.
final class RawDaemon: @unchecked Sendable {
  private let pointer: OpaquePointer
  private let core: Unmanaged<ServerCore>
  private let logger: UnsafeMutablePointer<martlet_mhd_logger>
  private let bell: Bell
  private let connectionLimit: Int
  private let stops = Atomic(false)
  private let ended = DispatchSemaphore(value: 0)

  init?(_ core: ServerCore, _ socket: ListeningSocket) {
    let flags = MHD_USE_EPOLL.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue | MHD_USE_ERROR_LOG.rawValue
    // The daemon's reference, given back when it has stopped and calls nobody any more.
    self.core = Unmanaged.passRetained(core)
    let options = Self.options(core.configuration, socket, self.core.toOpaque())
    logger = .allocate(capacity: 1)
    logger.initialize(to: martlet_mhd_logger(write: Self.log, context: self.core.toOpaque()))
    bell = core.bell
    connectionLimit = core.configuration.connectionLimit
    guard let pointer = martlet_mhd_start(flags, Self.access, self.core.toOpaque(), logger, options) else {
      logger.deallocate()
      self.core.release()
      return nil
    }
    self.pointer = pointer
    guard OwnThread.start("http", { [self] in turn() }) else {
      ended.signal()
      stop()
      return nil
    }
  }

  /// Takes no new connections from here on.
  func quiesce() { _ = MHD_quiesce_daemon(pointer) }

  /// Ends the thread and closes all connections: not on the cooperative pool, and with nothing suspended.
  func stop() {
    stops.store(true, ordering: .releasing)
    bell.ring()
    ended.wait()
    MHD_stop_daemon(pointer)
    logger.deallocate()
    core.release()
  }

  /// The thread: waits until the daemon has something to do, and lets it.
  private func turn() {
    var waited = [
      pollfd(fd: martlet_mhd_epoll(pointer), events: Int16(POLLIN), revents: 0),
      pollfd(fd: bell.descriptor, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      var limit: UInt64 = 0
      let isLimited = MHD_get_timeout(pointer, &limit) == .YES
      poll(&waited, 2, isLimited ? Int32(clamping: limit) : -1)
      // Before the run: what is resumed after this rings again.
      if waited[1].revents != 0 { bell.silence() }
      if stops.load(ordering: .acquiring) { break }
      let wasFull = isFull
      MHD_run(pointer)
      // The library looks at its listening socket again only in its next run, which nothing else may ask for.
      if wasFull, !isFull { MHD_run(pointer) }
    }
    ended.signal()
  }

  private var isFull: Bool {
    Int(martlet_mhd_connections(pointer)) >= connectionLimit
  }

  private static func options(
    _ configuration: HTTPServerConfiguration, _ socket: ListeningSocket, _ core: UnsafeMutableRawPointer
  ) -> [MHD_OptionItem] {
    func item(_ option: MHD_OPTION, _ value: Int, _ pointer: UnsafeMutableRawPointer? = nil) -> MHD_OptionItem
    {
      MHD_OptionItem(option: option, value: value, ptr_value: pointer)
    }
    // Room for a whole head and the answer's. Not more: the library clears all of it after each request.
    let memory = configuration.maximumHeaderBytes + (8 << 10)
    return [
      item(.LISTEN_SOCKET, Int(socket.descriptor)),
      item(.URI_LOG_CALLBACK, unsafeBitCast(begun, to: Int.self), core),
      item(.NOTIFY_COMPLETED, unsafeBitCast(completed, to: Int.self), nil),
      item(.UNESCAPE_CALLBACK, unsafeBitCast(unescape, to: Int.self), nil),
      item(.CONNECTION_LIMIT, configuration.connectionLimit),
      item(.CONNECTION_TIMEOUT, max(1, Int(configuration.connectionTimeout.components.seconds))),
      item(.CONNECTION_MEMORY_LIMIT, memory),
      item(.END, 0),
    ]
  }
}

/// The callbacks, all on the daemon's thread.
extension RawDaemon {
  private typealias Context = UnsafeMutableRawPointer

  private static let begun: @convention(c) (Context?, UnsafePointer<CChar>?, OpaquePointer?) -> Context? = {
    context, target, _ in
    guard let context else { return nil }
    let core = Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
    return Unmanaged.passRetained(Exchange(core: core, target: target)).toOpaque()
  }

  private static let access: MHD_AccessHandlerCallback = {
    _, connection, _, method, version, data, size, place in
    guard let connection, let size, let context = place?.pointee else { return .NO }
    let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
    let piece = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size.pointee)
    size.pointee = 0
    let goesOn = exchange.access(
      RawConnection(pointer: connection, bell: exchange.bell), method.map { String(cString: $0) } ?? "",
      version.map { String(cString: $0) } ?? "", piece)
    return goesOn ? .YES : .NO
  }

  private static let completed: MHD_RequestCompletedCallback = { _, _, place, _ in
    guard let context = place?.pointee else { return }
    place?.pointee = nil
    Unmanaged<Exchange>.fromOpaque(context).takeRetainedValue().completed()
  }

  /// The raw target is decoded by `HTTPTarget`; what the library would make of it is not looked at.
  private static let unescape:
    @convention(c) (Context?, OpaquePointer?, UnsafeMutablePointer<CChar>?) -> Int = {
      _, _, text in text.map { Int(bitPattern: UInt(strlen($0))) } ?? 0
    }

  private static let log: @convention(c) (Context?, UnsafePointer<CChar>?) -> Void = { context, line in
    guard let context, let line else { return }
    let core = Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
    core.logger.debug("libmicrohttpd", ["says": String(cString: line)])
  }
}

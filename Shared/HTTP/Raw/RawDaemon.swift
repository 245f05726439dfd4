import CMicroHTTPD
import Glibc
import Loop

/// Owns a running daemon of libmicrohttpd, which is a source of a loop and calls back into a `ServerCore`.
///
/// The library is in its external mode: `MHD_run` never waits. Connections that it has left in its own list of ready ones do
/// not make its descriptor readable, nor does one that is resumed: so it is run until it says that nothing is to be done,
/// and at the end of each turn in which a connection was resumed.
///
/// `@unchecked Sendable`: what is not constant is touched on the loop only, which `LoopBound` asserts; so is the library's
/// daemon behind `pointer` once it runs.
final class RawDaemon: @unchecked Sendable {
  /// So often it runs in one turn; others have their turn too.
  private static let runsPerTurn = 8

  private struct Watching {
    var sources: [LoopSource] = []
    var timer: LoopTimer?
  }

  private let pointer: OpaquePointer
  private let core: Unmanaged<ServerCore>
  private let loop: EventLoop
  private let logger: UnsafeMutablePointer<martlet_mhd_logger>
  private let connectionLimit: Int
  private let watching: LoopBound<Watching>

  init?(_ core: ServerCore, _ socket: ListeningSocket) {
    let flags = MHD_USE_EPOLL.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue | MHD_USE_ERROR_LOG.rawValue
    // The daemon's reference, given back when it has stopped and calls nobody any more.
    self.core = Unmanaged.passRetained(core)
    let options = Self.options(core.configuration, socket, self.core.toOpaque())
    logger = .allocate(capacity: 1)
    logger.initialize(to: martlet_mhd_logger(write: Self.log, context: self.core.toOpaque()))
    loop = core.loop
    watching = LoopBound(core.loop, Watching())
    connectionLimit = core.configuration.connectionLimit
    guard let pointer = martlet_mhd_start(flags, Self.access, self.core.toOpaque(), logger, options) else {
      logger.deallocate()
      self.core.release()
      return nil
    }
    self.pointer = pointer
    loop.execute { self.watch() }
  }

  private func watch() {
    let core = core.takeUnretainedValue()
    // They hold the daemon until `stop`: the library calls back as long as it runs.
    let ready = loop.watch(martlet_mhd_epoll(pointer), .reading) { [self] _ in run() }
    let resumed = loop.flush(.late) { [self] in
      if core.mustRun.exchange(false, ordering: .acquiring) { run() }
    }
    watching.value.sources = [ready, resumed]
  }

  private func run() {
    runUntilIdle()
    // Resumed by what it called back: no end of this turn may come any more.
    if core.takeUnretainedValue().mustRun.load(ordering: .relaxed) {
      watching.value.sources.first.map(loop.callAgain)
    }
  }

  private func runUntilIdle() {
    var limit: UInt64 = 0
    for _ in 0..<Self.runsPerTurn {
      let wasFull = isFull
      MHD_run(pointer)
      // The library looks at its listening socket again only in its next run, which nothing else may ask for.
      if wasFull, !isFull { continue }
      guard MHD_get_timeout(pointer, &limit) == .YES else { return }
      if limit > 0 { return runLater(.milliseconds(limit)) }
    }
    watching.value.sources.first.map(loop.callAgain)
  }

  /// Idle connections have an end. One timer: when it comes too soon it is set anew.
  private func runLater(_ delay: Duration) {
    guard watching.value.timer == nil else { return }
    watching.value.timer = loop.schedule(after: delay) { [self] in
      watching.value.timer = nil
      run()
    }
  }

  /// Takes no new connections from here on. On the loop.
  func quiesce() { _ = MHD_quiesce_daemon(pointer) }

  /// Closes all connections: on the loop, and with nothing suspended.
  func stop() {
    for source in watching.value.sources { loop.cancel(source) }
    watching.value.timer.map(loop.cancel)
    MHD_stop_daemon(pointer)
    logger.deallocate()
    core.release()
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

/// The callbacks, all on the loop.
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
      RequestConnection(pointer: connection, core: exchange.core), method.map { String(cString: $0) } ?? "",
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

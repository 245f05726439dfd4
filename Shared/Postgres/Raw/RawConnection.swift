import CPQ
import Glibc

/// Owns one `PGconn`; nothing in it blocks. Not to be used by two threads at once: a `Session` owns it.
final class RawConnection {
  /// What `PQconnectPoll` wants next.
  enum Progress { case reading, writing, connected, failed }
  /// What `nextResult` found.
  enum Next { case busy, result(RawResult), endOfCommand }

  private let pointer: OpaquePointer

  /// Begins to connect. `parameters` are libpq's keywords; the host has to be numeric or a socket folder.
  init(_ parameters: [(String, String)]) throws {
    var keywords: [UnsafePointer<CChar>?] = parameters.map { UnsafePointer(strdup($0.0)) } + [nil]
    var values: [UnsafePointer<CChar>?] = parameters.map { UnsafePointer(strdup($0.1)) } + [nil]
    defer { for text in keywords + values { free(UnsafeMutablePointer(mutating: text)) } }
    guard let pointer = PQconnectStartParams(&keywords, &values, 0) else {
      throw PostgresError(.connection, "out of memory")
    }
    self.pointer = pointer
    // libpq's own receiver writes notices to standard error.
    PQsetNoticeReceiver(pointer, { _, _ in }, nil)
  }

  deinit { PQfinish(pointer) }

  /// The descriptor to wait on; it may change while connecting. -1 if there is none.
  var socket: Int32 { PQsocket(pointer) }
  var isBroken: Bool { PQstatus(pointer) == CONNECTION_BAD }
  var isInTransaction: Bool { PQtransactionStatus(pointer) != PQTRANS_IDLE }
  var isTransactionFailed: Bool { PQtransactionStatus(pointer) == PQTRANS_INERROR }

  /// Why connecting failed. (Only before the first query: later, libpq's text holds the server's, with values.)
  var connectMessage: String {
    let text = PQerrorMessage(pointer).map { String(cString: $0) } ?? ""
    return text.split(separator: "\n").first.map(String.init) ?? "cannot connect"
  }

  func connectStep() -> Progress {
    switch PQconnectPoll(pointer) {
    case PGRES_POLLING_READING: .reading
    case PGRES_POLLING_WRITING: .writing
    case PGRES_POLLING_OK: .connected
    default: .failed
    }
  }

  /// After connecting: non-blocking, and in pipeline mode, where it stays except for scripts.
  func becomeReady() -> Bool { PQsetnonblocking(pointer, 1) == 0 && PQenterPipelineMode(pointer) == 1 }

  func leavePipelineMode() -> Bool { PQexitPipelineMode(pointer) == 1 }
  func enterPipelineMode() -> Bool { PQenterPipelineMode(pointer) == 1 }

  // MARK: Sending. Each gives false when the connection is broken.

  func sendScript(_ sql: String) -> Bool { PQsendQuery(pointer, sql) == 1 }

  func sendPlain(_ sql: String) -> Bool {
    PQsendQueryParams(pointer, sql, 0, nil, nil, nil, nil, 1) == 1
  }

  func sendPrepare(_ name: String, _ sql: String, types: [UInt32]) -> Bool {
    PQsendPrepare(pointer, name, sql, Int32(clamping: types.count), types) == 1
  }

  func sendExecute(_ name: String, _ binds: PostgresBinds) -> Bool {
    let count = binds.cells.count
    return withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count + 1) { values in
      withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * count + 1) { numbers in
        binds.buffer.bytes.withUnsafeBytes { bytes in
          // An empty value must not be a null pointer, which means NULL.
          let base = bytes.baseAddress ?? UnsafeRawPointer(numbers.baseAddress)
          for (index, cell) in binds.cells.enumerated() {
            let start = cell.length < 0 ? nil : base.map { $0 + cell.offset }
            values.initializeElement(at: index, to: start?.assumingMemoryBound(to: CChar.self))
            numbers.initializeElement(at: index, to: Int32(max(0, cell.length)))
            numbers.initializeElement(at: count + index, to: 1)
          }
          let lengths = numbers.baseAddress
          return PQsendQueryPrepared(
            pointer, name, Int32(clamping: count), values.baseAddress, lengths, lengths.map { $0 + count }, 1)
            == 1
        }
      }
    }
  }

  func sendSync() -> Bool { PQpipelineSync(pointer) == 1 }

  /// True if something is left to be written; nil when the connection is broken.
  func flush() -> Bool? {
    switch PQflush(pointer) {
    case 0: false
    case 1: true
    default: nil
    }
  }

  // MARK: Receiving.

  /// Takes what the socket has; false when the connection is broken.
  func consume() -> Bool { PQconsumeInput(pointer) == 1 }

  func nextResult() -> Next {
    guard PQisBusy(pointer) == 0 else { return .busy }
    guard let result = PQgetResult(pointer) else { return .endOfCommand }
    return .result(RawResult(result))
  }

  /// The last of the notifications that have come since, if any (earlier ones are merged into it).
  func lastNotification() -> String? {
    var last: String?
    while let notification = PQnotifies(pointer) {
      last = notification.pointee.extra.map { String(cString: $0) } ?? ""
      PQfreemem(notification)
    }
    return last
  }

  /// What it takes to cancel the running statement.
  func canceller() -> RawCanceller? { PQgetCancel(pointer).map { RawCanceller($0) } }
}

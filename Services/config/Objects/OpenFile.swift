import FoundationEssentials
import Glibc

/// An open file, closed when it is let go. Its calls block: from a helper thread only.
final class OpenFile: Sendable {
  private let descriptor: Int32

  init(_ path: String, _ flags: Int32) throws(FileFault) {
    descriptor = open(path, flags | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw FileFault() }
  }

  deinit { close(descriptor) }

  func size() throws(FileFault) -> Int {
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw FileFault() }
    return Int(facts.st_size)
  }

  /// At most so many bytes; fewer only at the end.
  func read(at offset: Int, upTo count: Int) throws(FileFault) -> [UInt8] {
    var read = 0
    var fault: FileFault?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while read < count {
        let got = pread(descriptor, buffer.baseAddress.map { $0 + read }, count - read, off_t(offset + read))
        if got < 0, errno == EINTR { continue }
        if got < 0 { fault = FileFault() }
        if got <= 0 { break }
        read += got
      }
      initialized = read
    }
    if let fault { throw fault }
    return bytes
  }

  /// Behind what has been written before.
  func append(_ bytes: [UInt8]) throws(FileFault) {
    var written = 0
    while written < bytes.count {
      let put = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if put < 0, errno == EINTR { continue }
      guard put > 0 else { throw FileFault() }
      written += put
    }
  }

  /// Until the disk has it. Of a folder: the names in it.
  func synchronise() throws(FileFault) {
    guard fsync(descriptor) == 0 else { throw FileFault() }
  }
}

/// Why a call of the file system failed.
struct FileFault: Error, Equatable, CustomStringConvertible {
  let code: Int32

  /// The last call's.
  init() { code = errno }

  var description: String { String(cString: strerror(code)) }
  var isMissing: Bool { code == ENOENT }
  var isThere: Bool { code == EEXIST }
  var isFull: Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }
}

import ConfigDomain
import Crypto
import FoundationEssentials
import Glibc
import Loop
import Wire

/// Objects as files in one folder, which any number of replicas may share: `organisation/id`.
///
/// One comes into being by a link to a file that is whole and on the disk: there is never a part of one under its name, however
/// a process ends, and of two who bring the same one wins.
struct ObjectFiles: ObjectAccess {
  /// So much is read, hashed or written in one go.
  static let slice = 256 << 10
  /// What is left in the folder of what comes for so long has nobody who writes it.
  private static let patience: Double = 2 * 86_400

  private let folder: String
  private let loop: EventLoop
  private var incoming: String { "\(folder)/.incoming" }

  /// - Throws: if the folder cannot be made.
  init(folder: String, loop: EventLoop) throws {
    (self.folder, self.loop) = (folder, loop)
    try FileManager.default.createDirectory(
      atPath: "\(folder)/.incoming", withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700]
    )
  }

  private func path(_ object: ObjectKey) -> String { "\(folder)/\(object.text)" }

  /// An object that is there, open; nil if it is not.
  func open(_ object: ObjectKey) async throws -> (file: OpenFile, size: Int)? {
    let path = path(object)
    return try await loop.blocking {
      do {
        let file = try OpenFile(path, O_RDONLY)
        return (file, try file.size())
      } catch let fault as FileFault where fault.isMissing { return nil }
    }
  }

  /// So many bytes of one, or what there is.
  func read(_ file: OpenFile, at offset: Int, upTo count: Int = Self.slice) async throws -> [UInt8] {
    try await loop.blocking { try file.read(at: offset, upTo: count) }
  }

  func look(_ object: ObjectKey) async throws -> ObjectStore.Facts? {
    guard let (file, _) = try await open(object) else { return nil }
    var hash = SHA256()
    var size = 0
    while true {
      let bytes = try await read(file, at: size)
      if bytes.isEmpty { return .init(size: size, sha256: hash.finalize().hex) }
      hash.update(data: bytes)
      size += bytes.count
    }
  }

  func read(_ object: ObjectKey, atMost limit: Int) async throws -> [UInt8]? {
    guard let (file, size) = try await open(object), size <= limit else { return nil }
    return try await read(file, at: 0, upTo: size)
  }

  func delete(_ object: ObjectKey) async throws {
    let path = path(object)
    try await loop.blocking {
      guard unlink(path) != 0 else { return }
      let fault = FileFault()
      if !fault.isMissing { throw fault }
    }
  }

  /// What was begun and nobody goes on with.
  func tidy(at now: Date) async throws {
    let incoming = incoming
    try await loop.blocking {
      for name in try FileManager.default.contentsOfDirectory(atPath: incoming) {
        let path = "\(incoming)/\(name)"
        var facts = stat()
        guard stat(path, &facts) == 0 else { continue }
        if now.timeIntervalSince1970 - Double(facts.st_mtim.tv_sec) > Self.patience { unlink(path) }
      }
    }
  }
}

/// Writing one.
extension ObjectFiles {
  /// A file that is no object yet.
  struct Incoming: Sendable {
    fileprivate let file: OpenFile
    fileprivate let path: String
  }

  /// Whether so many bytes have room, and some to spare for everybody else.
  func hasRoom(for size: Int) async -> Bool {
    let folder = folder
    return await loop.blocking {
      var facts = statvfs()
      guard statvfs(folder, &facts) == 0 else { return true }
      return UInt64(facts.f_bavail) * UInt64(facts.f_frsize) > UInt64(size) + (1 << 20)
    }
  }

  func begin() async throws -> Incoming {
    let path = "\(incoming)/\(UUID().text)"
    return try await loop.blocking {
      Incoming(file: try OpenFile(path, O_WRONLY | O_CREAT | O_EXCL), path: path)
    }
  }

  func append(_ bytes: [UInt8], to incoming: Incoming) async throws {
    try await loop.blocking { try incoming.file.append(bytes) }
  }

  /// Makes it an object, on the disk when this returns.
  /// - Throws: `FileFault`, `isThere` if there is one already.
  func commit(_ incoming: Incoming, as object: ObjectKey) async throws {
    let path = path(object)
    let (folder, parent) = (folder, String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]))
    try await loop.blocking {
      try incoming.file.synchronise()
      if mkdir(parent, 0o700) == 0 {
        try OpenFile(folder, O_RDONLY | O_DIRECTORY).synchronise()
      } else if errno != EEXIST {
        throw FileFault()
      }
      guard link(incoming.path, path) == 0 else { throw FileFault() }
      try OpenFile(parent, O_RDONLY | O_DIRECTORY).synchronise()
      unlink(incoming.path)
    }
  }

  func abandon(_ incoming: Incoming) async {
    await loop.blocking { _ = unlink(incoming.path) }
  }
}

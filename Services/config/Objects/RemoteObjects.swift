import AsyncHTTPClient
import ConfigDomain
import Crypto
import FoundationEssentials
import HTTP
import Observability
import S3
import Wire

/// Objects in an S3-compatible store.
struct RemoteObjects: ObjectAccess {
  /// So much is asked for at a time.
  private static let slice = 4 << 20
  /// Of the addresses that it signs for itself.
  private static let seconds = 300

  private let location: S3Location
  private let client: HTTPClient

  /// - Parameter location: as this service reaches it, which need not be as its users do.
  init(location: S3Location, logger: Logger) {
    self.location = location
    client = HTTPClient(
      configuration: HTTPClientConfiguration(maximumConnections: 8, maximumResponseBytes: 2 * Self.slice),
      logger: logger)
  }

  func look(_ object: ObjectKey) async throws -> ObjectStore.Facts? {
    let answer = try await ask(.head, object, ["x-amz-checksum-mode": "ENABLED"])
    guard answer.status == 200 else {
      try expectMissing(answer)
      return nil
    }
    guard let size = answer.headers["Content-Length"].flatMap({ Int($0) }) else {
      throw ObjectStoreAway(description: "the object store does not say how long an object is")
    }
    // Stores that keep the checksum have compared it themselves; of any other the bytes are read.
    let kept = answer.headers["x-amz-checksum-sha256"].flatMap { Data(base64Encoded: $0) }
    if let kept, kept.count == SHA256.byteCount { return .init(size: size, sha256: kept.hex) }
    var hash = SHA256()
    var read = 0
    while read < size {
      guard let bytes = try await slice(object, from: read), !bytes.isEmpty else { return nil }
      hash.update(data: bytes)
      read += bytes.count
    }
    return .init(size: read, sha256: hash.finalize().hex)
  }

  func read(_ object: ObjectKey, atMost limit: Int) async throws -> [UInt8]? {
    let bytes = try await slice(object, from: 0)
    return bytes.flatMap { $0.count <= limit ? $0 : nil }
  }

  func delete(_ object: ObjectKey) async throws {
    let answer = try await ask(.delete, object)
    if ![200, 202, 204].contains(answer.status) { try expectMissing(answer) }
  }

  private func slice(_ object: ObjectKey, from start: Int) async throws -> [UInt8]? {
    let answer = try await ask(.get, object, ["Range": "bytes=\(start)-\(start + Self.slice - 1)"])
    guard answer.status == 206 || (answer.status == 200 && start == 0) else {
      try expectMissing(answer)
      return nil
    }
    return answer.body
  }

  private func ask(
    _ method: HTTPMethod, _ object: ObjectKey, _ headers: HTTPFields = [:]
  ) async throws -> HTTPClientResponse {
    let signed = headers.map { (name: $0.name, value: $0.value) }
    let url = location.url(
      method.rawValue, object.segments, headers: signed, at: .now, seconds: Self.seconds)
    do { return try await client.execute(method, url: url, headers: headers) } catch let error
      as HTTPClientError
    {
      throw ObjectStoreAway(description: "the object store: \(error)")
    }
  }

  private func expectMissing(_ answer: HTTPClientResponse) throws {
    guard answer.status != 404 else { return }
    // Its words may name the address; the status says enough.
    throw ObjectStoreAway(description: "the object store answered \(answer.status)")
  }
}

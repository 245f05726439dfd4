import ConfigDomain
import FoundationEssentials
import Runtime
import S3
import Wire

/// Where the bytes of large artefacts are: any S3-compatible store, or files of our own behind the same signed addresses.
struct ObjectStore: Sendable {
  /// What the store says of an object's bytes.
  struct Facts: Sendable, Equatable {
    let size: Int
    /// 64 hex characters.
    let sha256: String
  }

  /// An address to put an object to, with what has to be sent just so.
  struct Ticket: Sendable {
    let url: String
    let headers: [(name: String, value: String)]
  }

  /// As those reach it who get addresses.
  let location: S3Location
  let limits: ObjectLimits
  private let objects: any ObjectAccess

  init(location: S3Location, limits: ObjectLimits, objects: any ObjectAccess) {
    (self.location, self.limits, self.objects) = (location, limits, objects)
  }

  /// An address that takes just these bytes, once, until the upload expires.
  func ticket(_ upload: Upload, at now: Date) -> Ticket {
    let sha256 = [UInt8](hex: upload.sha256).map { Data($0).base64EncodedString() } ?? ""
    let headers = [
      ("Content-Length", "\(upload.size)"), ("Content-Type", upload.contentType), ("If-None-Match", "*"),
      ("x-amz-checksum-sha256", sha256),
    ].map { (name: $0.0, value: $0.1) }
    let seconds = Int(upload.expiresAt.timeIntervalSince(now).rounded(.up))
    return Ticket(
      url: location.url("PUT", upload.object.segments, headers: headers, at: now, seconds: seconds),
      headers: headers)
  }

  /// An address to get an object from.
  func download(_ object: ObjectKey, as contentType: String, at now: Date) -> (url: String, expiresAt: Date) {
    // Whatever the store has noted of it, this is what it is served as.
    let url = location.url(
      "GET", object.segments, query: [("response-content-type", contentType)], at: now,
      seconds: limits.downloadSeconds)
    return (url, now + Double(limits.downloadSeconds))
  }

  /// What is there, looked at anew; nil if nothing is.
  func look(_ object: ObjectKey) async throws -> Facts? { try await objects.look(object) }

  /// The whole of an object; nil if it is not there or longer.
  func read(_ object: ObjectKey, atMost limit: Int) async throws -> [UInt8]? {
    try await objects.read(object, atMost: limit)
  }

  /// Deletes it; it need not be there.
  func delete(_ object: ObjectKey) async throws { try await objects.delete(object) }

  /// Whatever else has to be tidied up now and then.
  func tidy(at now: Date) async throws { try await objects.tidy(at: now) }
}

/// What the service itself does with objects.
protocol ObjectAccess: Sendable {
  func look(_ object: ObjectKey) async throws -> ObjectStore.Facts?
  func read(_ object: ObjectKey, atMost limit: Int) async throws -> [UInt8]?
  func delete(_ object: ObjectKey) async throws
  func tidy(at now: Date) async throws
}

extension ObjectAccess {
  func tidy(at now: Date) async throws {}
}

/// The store cannot be asked now; it may be asked again.
struct ObjectStoreAway: TemporaryError, CustomStringConvertible {
  let description: String
  var isTemporary: Bool { true }
}

import ConfigDomain
import Crypto
import FoundationEssentials
import HTTP
import Observability
import Runtime
import S3
import Wire

/// The embedded object store as its clients see it: S3's presigned PUT and GET, S3's errors, and nothing else of S3.
struct EmbeddedObjects: Sendable {
  /// What an address to put to has to hold its client to.
  private static let signedToPut: Set<String> = ["content-length", "content-type", "x-amz-checksum-sha256"]

  let credentials: S3Credentials
  let files: ObjectFiles
  let bucket: String
  let limits: ObjectLimits

  func put(_ request: HTTPRequest, _ context: OpenContext) async -> HTTPResponse {
    await answer(request, context) {
      guard let length = request.headers["Content-Length"].flatMap({ Int($0) }), let body = request.stream
      else {
        throw S3Refusal.missingLength
      }
      let signed = try admit(request)
      guard signed.isSuperset(of: Self.signedToPut) else {
        throw S3Refusal.unsignedHeaders(Self.signedToPut.subtracting(signed).sorted())
      }
      let object = try object(request)
      guard try await files.open(object) == nil else { throw S3Refusal.exists }
      guard length <= limits.maximumBytes, await files.hasRoom(for: length) else {
        throw S3Refusal.storageFull
      }
      let sha256 = try await store(body, length, Self.checksum(request), as: object)
      return HTTPResponse(
        headers: ["ETag": "\"\(sha256.hex)\"", "x-amz-checksum-sha256": Data(sha256).base64EncodedString()])
    }
  }

  func get(_ request: HTTPRequest, _ context: OpenContext) async -> HTTPResponse {
    await answer(request, context) {
      _ = try admit(request)
      guard let (file, size) = try await files.open(try object(request)) else { throw S3Refusal.noSuchKey }
      let range = try ByteRange(request.headers["Range"], of: size)
      var headers: HTTPFields = [
        "Content-Type": request.query["response-content-type"] ?? "application/octet-stream",
        "Accept-Ranges": "bytes",
        // A tenant chose the type and the content: no browser takes them for a page of this origin.
        "Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
      ]
      if let range { headers["Content-Range"] = "bytes \(range.start)-\(range.end - 1)/\(size)" }
      let (start, end) = (range?.start ?? 0, range?.end ?? size)
      return .stream(status: range == nil ? 200 : 206, headers, isEndless: false, length: end - start) {
        writer in
        var offset = start
        while offset < end {
          let bytes = try await files.read(file, at: offset, upTo: min(ObjectFiles.slice, end - offset))
          // Shorter than it was: the connection breaks, and nobody takes it for the whole.
          if bytes.isEmpty { return }
          try await writer.write(bytes)
          offset += bytes.count
        }
      }
    }
  }

  /// Receives a body into a file, and makes that the object if it is what was signed.
  private func store(
    _ body: HTTPBodyReader, _ length: Int, _ expected: [UInt8], as object: ObjectKey
  ) async throws -> [UInt8] {
    let incoming = try await files.begin()
    do {
      var hash = SHA256()
      var received = 0
      while let bytes = try await body.next() {
        received += bytes.count
        guard received <= length else { throw S3Refusal.wrongLength }
        hash.update(data: bytes)
        try await files.append(bytes, to: incoming)
      }
      guard received == length else { throw S3Refusal.wrongLength }
      let sha256 = hash.finalize()
      guard sha256 == expected else { throw S3Refusal.badDigest }
      try await files.commit(incoming, as: object)
      return sha256
    } catch {
      await files.abandon(incoming)
      throw error
    }
  }

  private func admit(_ request: HTTPRequest) throws(S3Refusal) -> Set<String> {
    try credentials.verify(
      S3Credentials.SignedRequest(
        method: request.method.rawValue, path: request.path,
        query: request.query.items.map { (name: $0.name, value: $0.value) },
        headers: request.headers.map { (name: $0.name, value: $0.value) }), at: .now)
  }

  private func object(_ request: HTTPRequest) throws(S3Refusal) -> ObjectKey {
    guard request.parameter("bucket") == bucket,
      let object = ObjectKey(organisation: request.parameter("organisation"), id: request.parameter("id"))
    else { throw .noSuchKey }
    return object
  }

  private static func checksum(_ request: HTTPRequest) throws(S3Refusal) -> [UInt8] {
    guard let text = request.headers["x-amz-checksum-sha256"], let digest = Data(base64Encoded: text),
      digest.count == SHA256.byteCount
    else { throw .badDigest }
    return Array(digest)
  }

  /// Refusals as S3 has them.
  private func answer(
    _ request: HTTPRequest, _ context: OpenContext, _ body: () async throws -> HTTPResponse
  ) async -> HTTPResponse {
    var response: HTTPResponse
    do { response = try await body() } catch {
      let refusal = Self.refusal(error)
      if refusal.status >= 500 {
        context.logger.error("object store", ["code": refusal.code, "error": "\(error)"])
      }
      let path = request.target.prefix { $0 != "?" }
      let document = refusal.document(resource: String(path), request: context.trace.traceId)
      response = HTTPResponse(
        status: refusal.status, headers: ["Content-Type": "application/xml"], body: Array(document.utf8))
    }
    response.headers["x-amz-request-id"] = context.trace.traceId
    return response
  }

  private static func refusal(_ error: any Error) -> S3Refusal {
    switch error {
    case let refusal as S3Refusal: refusal
    case let fault as FileFault where fault.isThere: .exists
    case let fault as FileFault where fault.isFull: .storageFull
    case is HTTPStreamError: .wrongLength
    default: .unavailable
    }
  }
}

/// One range of bytes (RFC 9110, section 14).
struct ByteRange: Equatable {
  let start: Int
  /// The place behind the last byte.
  let end: Int

  /// - Returns: nil for the whole: without the header, and for what is not one range of bytes.
  /// - Throws: `badRange` for one that holds nothing.
  init?(_ header: String?, of size: Int) throws(S3Refusal) {
    guard let header, header.hasPrefix("bytes="), !header.contains(",") else { return nil }
    let parts = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    switch (Int(parts[0]), Int(parts[1])) {
    case (let first?, let last?) where first >= 0 && last >= first:
      (start, end) = (first, last < size ? last + 1 : size)
    case (let first?, nil) where first >= 0 && parts[1].isEmpty: (start, end) = (first, size)
    case (nil, let count?) where count >= 0 && parts[0].isEmpty: (start, end) = (max(0, size - count), size)
    default: return nil
    }
    guard start < end else { throw .badRange }
  }
}

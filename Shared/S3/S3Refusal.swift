/// Why an object store does not do what it is asked, in S3's words.
public enum S3Refusal: Error, Sendable, Equatable {
  case missingParameter(String)
  case badParameter(String)
  case unknownKey
  case signatureDoesNotMatch
  case expired
  /// The signature's time lies ahead.
  case notYet
  case unsignedHeaders([String])
  case missingLength
  case wrongLength
  case badDigest
  case noSuchKey
  /// There is one already, and it is not written over.
  case exists
  case badRange
  /// A method that presigned addresses are not for.
  case notAllowed
  case storageFull
  case unavailable

  public var status: Int {
    switch self {
    case .missingParameter, .badParameter, .wrongLength, .badDigest: 400
    case .unknownKey, .signatureDoesNotMatch, .expired, .notYet, .unsignedHeaders: 403
    case .noSuchKey: 404
    case .notAllowed: 405
    case .missingLength: 411
    case .exists: 412
    case .badRange: 416
    case .unavailable: 503
    case .storageFull: 507
    }
  }

  public var code: String {
    switch self {
    case .missingParameter, .badParameter: "AuthorizationQueryParametersError"
    case .unknownKey: "InvalidAccessKeyId"
    case .signatureDoesNotMatch: "SignatureDoesNotMatch"
    case .expired, .unsignedHeaders: "AccessDenied"
    case .notYet: "RequestTimeTooSkewed"
    case .missingLength: "MissingContentLength"
    case .wrongLength: "IncompleteBody"
    case .badDigest: "BadDigest"
    case .noSuchKey: "NoSuchKey"
    case .exists: "PreconditionFailed"
    case .badRange: "InvalidRange"
    case .notAllowed: "MethodNotAllowed"
    case .storageFull: "InsufficientStorage"
    case .unavailable: "ServiceUnavailable"
    }
  }

  public var message: String {
    switch self {
    case .missingParameter(let name): "The query parameter \(name) has to be given, once."
    case .badParameter(let name): "The query parameter \(name) is not valid."
    case .unknownKey: "The access key in X-Amz-Credential does not exist here."
    case .signatureDoesNotMatch:
      "The request signature does not match: method, path, query and signed headers must be sent just as they were signed."
    case .expired: "Request has expired."
    case .notYet: "The time of the signature lies ahead."
    case .unsignedHeaders(let names):
      "There were headers in the request that are not signed: \(names.joined(separator: ", "))."
    case .missingLength: "You must provide the Content-Length HTTP header."
    case .wrongLength: "The body is not as long as the Content-Length says."
    case .badDigest: "The SHA-256 of the body is not what x-amz-checksum-sha256 says."
    case .noSuchKey: "The specified key does not exist."
    case .exists: "At least one of the preconditions you specified did not hold: there is an object already."
    case .badRange: "The requested range is not satisfiable."
    case .notAllowed: "The specified method is not allowed against this resource."
    case .storageFull: "The store has no room left for the object."
    case .unavailable: "The store cannot be written to or read from at the moment; try again."
    }
  }

  /// S3's error document.
  /// - Parameters:
  ///   - resource: the path that was asked for.
  ///   - request: what the request is called in logs.
  public func document(resource: String, request: String) -> String {
    let fields = [("Code", code), ("Message", message), ("Resource", resource), ("RequestId", request)]
    let inner = fields.map { "<\($0)>\(Self.escape($1))</\($0)>" }.joined()
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\(inner)</Error>"
  }

  private static func escape(_ text: String) -> String {
    text.unicodeScalars.reduce(into: "") { escaped, scalar in
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
  }
}

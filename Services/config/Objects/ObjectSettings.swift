import Crypto
import FoundationEssentials
import Loop
import Observability
import Runtime
import S3

/// How large and for how long.
struct ObjectLimits: Sendable {
  var maximumBytes = 1 << 30
  /// How long an address to put to is good.
  var uploadSeconds = 900
  /// How long an address to get from is good.
  var downloadSeconds = 3600
  /// How long after its expiry an upload may still be completed; then it is swept.
  var graceSeconds = 900
}

/// The settings of the object store.
struct ObjectSettings: Sendable {
  /// Of an S3-compatible store.
  struct Remote: Sendable {
    let endpoint: String
    let publicEndpoint: String
    let region: String
    let bucket: String
    let isPathStyle: Bool
    let accessKey: String
    let secret: String
  }

  static let embeddedPrefix = "objects"
  private static let embeddedBucket = "martlet"

  let limits: ObjectLimits
  let folder: String
  let url: String
  let remote: Remote?

  init(_ settings: inout SettingsReader) {
    var limits = ObjectLimits()
    limits.maximumBytes = settings.int(
      "object-maximum-bytes", default: limits.maximumBytes, in: 1...(5 << 30), help: "The largest artefact.")
    limits.uploadSeconds = settings.int(
      "object-upload-seconds", default: limits.uploadSeconds, in: 1...S3Credentials.longest,
      help: "How long an address to upload to is good.")
    limits.downloadSeconds = settings.int(
      "object-download-seconds", default: limits.downloadSeconds, in: 1...S3Credentials.longest,
      help: "How long an address to download from is good.")
    limits.graceSeconds = settings.int(
      "object-grace-seconds", default: limits.graceSeconds, in: 0...86_400,
      help: "How long after its expiry an upload may still be completed; then it is swept.")
    self.limits = limits
    folder = settings.string(
      "objects-folder", default: ".run/objects",
      help: "Where the embedded object store keeps its files; all replicas need the same.")
    url = settings.string(
      "objects-url", default: "http://127.0.0.1:8080",
      help: "Where clients and devices reach the embedded object store: the edge's address.")
    let endpoint = settings.optional(
      "s3-endpoint",
      help: "An S3-compatible object store to use in place of the embedded one: http(s)://host:port.")
    let publicEndpoint = settings.optional(
      "s3-public-endpoint", help: "Where clients and devices reach it, if that is another address.")
    let region = settings.string("s3-region", default: "us-east-1", help: "Its region.")
    let bucket = settings.string("s3-bucket", default: "martlet", help: "The bucket, which has to be there.")
    let accessKey = settings.optional("s3-access-key", help: "The access key.")
    let isVirtual = settings.flag(
      "s3-virtual-host", help: "The bucket stands before the host and not in the path.")
    let secret = settings.optionalSecret("s3-secret-key", help: "The access key's secret.")
    remote = endpoint.map {
      Remote(
        endpoint: $0, publicEndpoint: publicEndpoint ?? $0, region: region, bucket: bucket,
        isPathStyle: !isVirtual, accessKey: accessKey ?? "", secret: secret ?? "")
    }
  }

  /// - Parameter rootKey: signs for the embedded store, so that all replicas know each other's addresses.
  /// - Throws: what is wrong with the settings.
  func make(rootKey: String, loop: EventLoop, logger: Logger) throws -> (
    ObjectStore, embedded: EmbeddedObjects?
  ) {
    guard let remote else {
      let credentials = S3Credentials(
        accessKey: Self.embeddedBucket,
        secret: HMAC.sha256(for: Array("martlet objects".utf8), using: Array(rootKey.utf8)).hex,
        region: "local")
      let endpoint = (url.last == "/" ? String(url.dropLast()) : url) + "/" + Self.embeddedPrefix
      let location = try Self.location(endpoint, Self.embeddedBucket, isPathStyle: true, credentials)
      let files = try ObjectFiles(folder: folder, loop: loop)
      return (
        ObjectStore(location: location, limits: limits, objects: files),
        EmbeddedObjects(credentials: credentials, files: files, bucket: Self.embeddedBucket, limits: limits)
      )
    }
    guard !remote.accessKey.isEmpty, !remote.secret.isEmpty else {
      throw ObjectSettingsError("MARTLET_S3_ENDPOINT needs MARTLET_S3_ACCESS_KEY and MARTLET_S3_SECRET_KEY")
    }
    let credentials = S3Credentials(
      accessKey: remote.accessKey, secret: remote.secret, region: remote.region)
    func location(_ endpoint: String) throws -> S3Location {
      try Self.location(endpoint, remote.bucket, isPathStyle: remote.isPathStyle, credentials)
    }
    let objects = RemoteObjects(location: try location(remote.endpoint), logger: logger)
    return (ObjectStore(location: try location(remote.publicEndpoint), limits: limits, objects: objects), nil)
  }

  private static func location(
    _ endpoint: String, _ bucket: String, isPathStyle: Bool, _ credentials: S3Credentials
  ) throws -> S3Location {
    guard
      let location = S3Location(
        endpoint: endpoint, bucket: bucket, isPathStyle: isPathStyle, credentials: credentials)
    else {
      throw ObjectSettingsError("\(endpoint) is no address of an object store: http(s)://host:port is needed")
    }
    return location
  }
}

/// Settings that cannot work.
struct ObjectSettingsError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

import FoundationEssentials
import Wire

/// One device as the registry knows it; what the device says of itself is its state.
public struct Device: Sendable, Equatable {
  public let id: UUID
  public let createdAt: Date
  public var updatedAt: Date
  public var mcuId: String
  public var boardId: UUID
  /// Its board's.
  public var soc: String
  public let organisationId: UUID
  public let deviceId: String
  public var metadata: Metadata
  /// The record id of its network.
  public var networkId: UUID?
  public var name: String?
  /// Grows by one with each change.
  public var rev: Int64

  public init(
    id: UUID, createdAt: Date, updatedAt: Date, mcuId: String, boardId: UUID, soc: String,
    organisationId: UUID, deviceId: String, metadata: Metadata, networkId: UUID? = nil, name: String?,
    rev: Int64
  ) {
    (self.id, self.createdAt, self.updatedAt, self.mcuId) = (id, createdAt, updatedAt, mcuId)
    (self.boardId, self.soc, self.organisationId) = (boardId, soc, organisationId)
    (self.deviceId, self.metadata, self.networkId) = (deviceId, metadata, networkId)
    (self.name, self.rev) = (name, rev)
  }

  /// As the API writes it.
  public var json: JSON {
    .compact([
      "id": .string(id.text), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339),
      "mcuId": .string(mcuId), "boardId": .string(boardId.text),
      "organisationId": .string(organisationId.text), "deviceId": .string(deviceId),
      "metadata": metadata.json, "networkId": networkId.map { .string($0.text) },
      "name": name.map { .string($0) },
    ])
  }

  static let deviceId = JSONShape<String>.string(
    matching: "16 lower-case hexadecimal characters", Identifier.isDeviceId)
  static let mcuId = JSONShape<String>.string(
    matching: "1 to 64 letters, digits, dots, underscores, colons and hyphens", Identifier.isMcuId)
  static let name = JSONShape<String>.string(1...200)
}

/// A device that is to be made, and what is known of its state.
public struct NewDevice: Sendable, Equatable {
  /// Without the SoC, which its board gives.
  public let device: Device
  private let initialState: JSONObject

  /// The attributes that its state begins with.
  public var attributes: JSON {
    .object(initialState.mapValues { StoredAttribute.json($0, at: device.createdAt) })
  }

  /// From the body that asks for it.
  /// - Parameter organisation: whose it is if the body does not say.
  public init(_ body: inout JSONFields, organisation: UUID?, id: UUID, at time: Date) {
    device = Device(
      id: id, createdAt: time, updatedAt: time, mcuId: body.required("mcuId", Device.mcuId),
      boardId: body.required("boardId", .uuid), soc: "",
      organisationId: body.organisation(default: organisation),
      deviceId: body.optional("deviceId", Device.deviceId) ?? Identifier.randomDeviceId(),
      metadata: body.metadata("metadata") ?? [:], networkId: body.optional("networkId", .uuid),
      name: body.optional("name", Device.name), rev: 1)
    initialState = body.optional("initialDeviceState", DeviceSoftware.shape) ?? JSONObject()
  }
}

extension Device {
  /// What a PATCH makes of it: JSON Merge Patch (RFC 7396) of the document.
  public func patched(by patch: JSON, at time: Date) throws(JSONFaults) -> Device {
    var fields = JSONFields(json.merged(with: patch))
    fields.fixed(["id", "createdAt", "organisationId", "deviceId"], as: json)
    var changed = self
    changed.mcuId = fields.required("mcuId", Self.mcuId)
    changed.boardId = fields.required("boardId", .uuid)
    changed.metadata = fields.metadata("metadata") ?? [:]
    changed.networkId = fields.optional("networkId", .uuid)
    changed.name = fields.optional("name", Self.name)
    try fields.finish()
    return next(changed, at: time)
  }

  /// What a PUT makes of it: `{metadata?: {operation, value}, mcuId?, boardId?, networkId?, name?}`; what is left out
  /// stays, and null removes the last two.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> Device {
    var fields = JSONFields(body)
    var changed = self
    if let metadata = fields.optional("metadata", MetadataChange.shape) {
      changed.metadata = metadata.applied(to: self.metadata)
    }
    if fields.has("mcuId") { changed.mcuId = fields.required("mcuId", Self.mcuId) }
    if fields.has("boardId") { changed.boardId = fields.required("boardId", .uuid) }
    if fields.has("networkId") { changed.networkId = fields.optional("networkId", .uuid) }
    if fields.has("name") { changed.name = fields.optional("name", Self.name) }
    try fields.finish()
    return next(changed, at: time)
  }

  /// The next revision; itself if nothing has changed, so that the same change twice is the same as once.
  func next(_ changed: Device, at time: Date) -> Device {
    guard changed.json != json else { return self }
    var next = changed
    next.updatedAt = time
    next.rev += 1
    return next
  }
}

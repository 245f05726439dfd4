import FoundationEssentials
import Wire

/// The device profile: a hardware family.
public struct Board: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let createdAt: Date
  public let updatedAt: Date
  /// What clients set.
  public let profile: BoardProfile
  /// Grows by one with each change.
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, createdAt: Date, updatedAt: Date, profile: BoardProfile, rev: Int64
  ) {
    (self.id, self.organisationId, self.createdAt) = (id, organisationId, createdAt)
    (self.updatedAt, self.profile, self.rev) = (updatedAt, profile, rev)
  }

  /// A new one, from the body that asks for it.
  /// - Parameter organisation: whose it is if the body does not say.
  public init(creating body: inout JSONFields, organisation: UUID?, id: UUID, at time: Date) {
    self.init(
      id: id, organisationId: body.organisation(default: organisation), createdAt: time, updatedAt: time,
      profile: BoardProfile(&body), rev: 1)
  }

  /// What a PUT makes of it.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> Board {
    var fields = JSONFields(json.replacing(with: body))
    fields.fixed(["id", "createdAt", "organisationId"], as: json)
    let changed = Board(
      id: id, organisationId: organisationId, createdAt: createdAt, updatedAt: time,
      profile: BoardProfile(&fields), rev: rev + 1)
    try fields.finish()
    return changed
  }

  /// As the API writes it.
  public var json: JSON {
    .compact([
      "id": .string(id.text), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339),
      "name": .string(profile.name), "description": .string(profile.description), "soc": .string(profile.soc),
      "organisationId": .string(organisationId.text), "public": .bool(profile.isPublic),
      "metadataFields": .array(profile.metadataFields.map(\.json)),
      "deviceType": profile.deviceType.map { .string($0) },
      "configSchemas": profile.configSchemas.map { .object($0) },
      "commandCatalogue": profile.commandCatalogue.map { .object($0) },
    ])
  }
}

/// What clients set of a board.
public struct BoardProfile: Sendable, Equatable {
  public let name: String
  public let description: String
  public let soc: String
  /// Every organisation may read and use it.
  public let isPublic: Bool
  public let metadataFields: [MetadataField]
  /// The name of its catalogue in the commands API.
  public let deviceType: String?
  /// JSON Schemas by slot.
  public let configSchemas: JSONObject?
  public let commandCatalogue: JSONObject?

  public init(
    name: String, description: String, soc: String, isPublic: Bool, metadataFields: [MetadataField],
    deviceType: String?, configSchemas: JSONObject?, commandCatalogue: JSONObject?
  ) {
    (self.name, self.description, self.soc, self.isPublic) = (name, description, soc, isPublic)
    (self.metadataFields, self.deviceType) = (metadataFields, deviceType)
    (self.configSchemas, self.commandCatalogue) = (configSchemas, commandCatalogue)
  }

  /// Reads it from the body of a POST, or from the document that a PUT has made.
  init(_ body: inout JSONFields) {
    self.init(
      name: body.required("name", .string(1...200)),
      description: body.optional("description", .string(0...2000)) ?? "",
      soc: body.required("soc", .string(1...64)), isPublic: body.optional("public", .bool) ?? false,
      metadataFields: body.optional("metadataFields", MetadataField.shape.array(0...Metadata.maximumCount))
        ?? [],
      deviceType: body.optional("deviceType", .string(1...64)), configSchemas: body.configSchemas(),
      commandCatalogue: body.commandCatalogue())
    for (index, field) in metadataFields.enumerated()
    where metadataFields[..<index].contains(where: { $0.name == field.name }) {
      body.fail("metadataFields", "names \(field.name) twice")
    }
  }
}

extension JSONFields {
  /// JSON Schemas by slot: each an object, or a boolean.
  fileprivate mutating func configSchemas() -> JSONObject? {
    guard let schemas = optional("configSchemas", .object) else { return nil }
    let schema = JSONShape<JSON>(.null, expected: "a JSON Schema: an object, true or false") {
      $0.object != nil || $0.bool != nil ? $0 : nil
    }
    _ = optional("configSchemas", schema.map())
    for slot in schemas.members where !Identifier.isName(slot.name) {
      fail(
        "configSchemas", "has a slot that is not of 1 to 64 letters, digits, dots, underscores and hyphens")
    }
    return schemas
  }

  /// Commands by name, kept as they were written.
  fileprivate mutating func commandCatalogue() -> JSONObject? {
    guard let catalogue = optional("commandCatalogue", .object) else { return nil }
    _ = optional("commandCatalogue", JSONShape<Bool>.fields(false) { $0.catalogueEntry() }.map())
    for command in catalogue.members where !(1...128).contains(command.name.utf8.count) {
      fail("commandCatalogue", "has a command whose name is not of 1 to 128 bytes")
    }
    return catalogue
  }

  /// - Returns: nothing of use: what counts are the faults.
  private mutating func catalogueEntry() -> Bool {
    for name in ["description", "topic", "answerTopic"] { _ = optional(name, .string(0...2000)) }
    _ = optional("payload", .any)
    _ = optional(
      "paramsSchema",
      JSONShape<JSON>(.null, expected: "a JSON Schema: an object, true or false") {
        $0.object != nil || $0.bool != nil ? $0 : nil
      })
    _ = optional(
      "timeouts",
      JSONShape<Bool>.fields(false) { timeouts in
        for name in ["deliverSeconds", "acknowledgeSeconds", "completeSeconds"] {
          _ = timeouts.optional(name, .int(1...2_592_000))
        }
        return true
      })
    _ = optional(
      "answers",
      JSONShape<Bool>.fields(false) { answers in
        for name in ["acknowledged", "completed", "failed"] { _ = answers.optional(name, .any) }
        return true
      })
    return true
  }
}

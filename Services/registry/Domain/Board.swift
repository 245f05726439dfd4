import FoundationEssentials
import JSONSchema
import Wire

/// The device profile: a hardware family.
public struct Board: Sendable, Equatable, Document {
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
    try replaced(by: body) {
      Board(
        id: id, organisationId: organisationId, createdAt: createdAt, updatedAt: time,
        profile: BoardProfile(&$0), rev: rev + 1)
    }
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
      "commandTimeouts": profile.commandTimeouts.map { .object($0) },
    ])
  }
}

/// What a board asks of its devices.
public struct BoardRules: Sendable, Equatable {
  public let id: UUID
  public let soc: String
  public let metadataFields: [MetadataField]

  public init(id: UUID, soc: String, metadataFields: [MetadataField]) {
    (self.id, self.soc, self.metadataFields) = (id, soc, metadataFields)
  }

  /// The metadata fields whose values no two devices share.
  public var uniqueNames: Set<ExactText> { metadataFields.uniqueNames }
}

extension [MetadataField] {
  fileprivate var uniqueNames: Set<ExactText> { Set(filter(\.unique).map { ExactText($0.name) }) }
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
  /// How long its devices may take with a command, for those who send one and do not say.
  public let commandTimeouts: JSONObject?

  public init(
    name: String, description: String, soc: String, isPublic: Bool, metadataFields: [MetadataField],
    deviceType: String?, configSchemas: JSONObject?, commandCatalogue: JSONObject?,
    commandTimeouts: JSONObject?
  ) {
    (self.name, self.description, self.soc, self.isPublic) = (name, description, soc, isPublic)
    (self.metadataFields, self.deviceType) = (metadataFields, deviceType)
    (self.configSchemas, self.commandCatalogue) = (configSchemas, commandCatalogue)
    self.commandTimeouts = commandTimeouts
  }

  /// The metadata fields whose values no two devices share.
  public var uniqueNames: Set<ExactText> { metadataFields.uniqueNames }

  /// Reads it from the body of a POST, or from the document that a PUT has made.
  init(_ body: inout JSONFields) {
    self.init(
      name: body.required("name", .string(1...200)),
      description: body.optional("description", .string(0...2000)) ?? "",
      soc: body.required("soc", .string(1...64)), isPublic: body.optional("public", .bool) ?? false,
      metadataFields: body.optional("metadataFields", MetadataField.shape.array(0...Metadata.maximumCount))
        ?? [],
      deviceType: body.optional("deviceType", .string(1...64)), configSchemas: body.configSchemas(),
      commandCatalogue: body.commandCatalogue(), commandTimeouts: body.commandTimeouts("commandTimeouts"))
    for (index, field) in metadataFields.enumerated()
    where metadataFields[..<index].contains(where: { $0.name.isExactly(field.name) }) {
      body.fail("metadataFields", "names \(field.name) twice")
    }
  }
}

extension JSONFields {
  /// JSON Schemas by slot, kept as they were written: each an object or a boolean, and valid.
  mutating func configSchemas() -> JSONObject? {
    guard let schemas = optional("configSchemas", .object) else { return nil }
    check(schemas.members.map { (["configSchemas", $0.name], $0.value) })
    for slot in schemas.members where !Identifier.isName(slot.name) {
      fail(
        "configSchemas", "has a slot that is not of 1 to 64 letters, digits, dots, underscores and hyphens")
    }
    return schemas
  }

  /// Commands by name, kept as they were written.
  fileprivate mutating func commandCatalogue() -> JSONObject? {
    guard let catalogue = optional("commandCatalogue", .object) else { return nil }
    _ = optional("commandCatalogue", JSONShape<Bool>.fields(false) { $0.catalogueEntry() }.members())
    check(
      catalogue.members.compactMap { command in
        guard let schema = command.value["paramsSchema"], schema != .null else { return nil }
        return (["commandCatalogue", command.name, "paramsSchema"], schema)
      })
    // Of an entry that is none these are no news.
    for command in catalogue.members where command.value.object != nil {
      do { _ = try OwnProtocol(entry: command.value) } catch {
        for fault in error.faults { fail(["commandCatalogue", command.name], fault) }
      }
    }
    for command in catalogue.members where !(1...128).contains(command.name.utf8.count) {
      fail("commandCatalogue", "has a command whose name is not of 1 to 128 bytes")
    }
    return catalogue
  }

  /// How long the steps of a command may take, each from 1 s to 30 days; kept as they were written.
  fileprivate mutating func commandTimeouts(_ name: String) -> JSONObject? {
    _ = optional(
      name,
      JSONShape<Bool>.fields(false) { timeouts in
        for step in ["deliverSeconds", "acknowledgeSeconds", "completeSeconds"] {
          _ = timeouts.optional(step, .int(1...2_592_000))
        }
        return true
      })
    return optional(name, JSONShape<JSON>.any)?.object?.withoutNulls
  }

  /// - Returns: nothing of use: what counts are the faults.
  private mutating func catalogueEntry() -> Bool {
    _ = optional("description", .string(0...2000))
    // What is wrong with those of a device's own protocol `OwnProtocol` says.
    for name in ["topic", "answerTopic", "payload", "paramsSchema"] { _ = optional(name, .any) }
    _ = commandTimeouts("timeouts")
    _ = optional(
      "answers",
      JSONShape<Bool>.fields(false) { answers in
        for name in ["acknowledged", "completed", "failed"] { _ = answers.optional(name, .any) }
        return true
      })
    return true
  }
}

import FoundationEssentials
import Wire

/// The profile of components: a kind of sensor, modem or other part of devices, and what configures it.
public struct SensorProfile: Sendable, Equatable, Document {
  public let id: UUID
  public let organisationId: UUID
  public let createdAt: Date
  public let updatedAt: Date
  public let name: String
  /// JSON Schemas by slot.
  public let configSchemas: JSONObject?
  /// Grows by one with each change.
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, createdAt: Date, updatedAt: Date, name: String,
    configSchemas: JSONObject?, rev: Int64
  ) {
    (self.id, self.organisationId, self.createdAt) = (id, organisationId, createdAt)
    (self.updatedAt, self.name, self.configSchemas, self.rev) = (updatedAt, name, configSchemas, rev)
  }

  /// A new one, from the body that asks for it.
  /// - Parameter organisation: whose it is if the body does not say.
  public init(creating body: inout JSONFields, organisation: UUID?, id: UUID, at time: Date) {
    self.init(
      id: id, organisationId: body.organisation(default: organisation), createdAt: time, updatedAt: time,
      name: body.required("name", .string(1...200)), configSchemas: body.configSchemas(), rev: 1)
  }

  /// What a PUT makes of it.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> SensorProfile {
    try replaced(by: body) {
      SensorProfile(
        id: id, organisationId: organisationId, createdAt: createdAt, updatedAt: time,
        name: $0.required("name", .string(1...200)), configSchemas: $0.configSchemas(), rev: rev + 1)
    }
  }

  /// As the API writes it.
  public var json: JSON {
    .compact([
      "id": .string(id.text), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339), "name": .string(name),
      "organisationId": .string(organisationId.text),
      "configSchemas": configSchemas.map { .object($0) },
    ])
  }
}

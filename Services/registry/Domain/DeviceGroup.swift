import FoundationEssentials
import Wire

/// Devices that are treated alike: those that it was given, or those that its query finds.
public struct DeviceGroup: Sendable, Equatable, Document {
  public let id: UUID
  public let organisationId: UUID
  public let createdAt: Date
  public let updatedAt: Date
  public let name: String
  /// The filter that its members follow; nil if it has members of its own.
  public let filter: String?
  /// Grows by one with each change of these; not with its members.
  public let rev: Int64

  public init(
    id: UUID, organisationId: UUID, createdAt: Date, updatedAt: Date, name: String, filter: String?,
    rev: Int64
  ) {
    (self.id, self.organisationId, self.createdAt) = (id, organisationId, createdAt)
    (self.updatedAt, self.name, self.filter, self.rev) = (updatedAt, name, filter, rev)
  }

  /// A new one, from the body that asks for it.
  /// - Parameter organisation: whose it is if the body does not say.
  public init(creating body: inout JSONFields, organisation: UUID?, id: UUID, at time: Date) {
    self.init(
      id: id, organisationId: body.organisation(default: organisation), createdAt: time, updatedAt: time,
      name: body.required("name", .string(1...200)), filter: body.groupQuery(), rev: 1)
  }

  /// What a PUT makes of it.
  public func changed(by body: JSON, at time: Date) throws(JSONFaults) -> DeviceGroup {
    try replaced(by: body) {
      DeviceGroup(
        id: id, organisationId: organisationId, createdAt: createdAt, updatedAt: time,
        name: $0.required("name", .string(1...200)), filter: $0.groupQuery(), rev: rev + 1)
    }
  }

  /// As the API writes it.
  public var json: JSON {
    .compact([
      "id": .string(id.text), "createdAt": .string(createdAt.rfc3339),
      "updatedAt": .string(updatedAt.rfc3339), "name": .string(name),
      "organisationId": .string(organisationId.text),
      "query": filter.map { ["filter": .string($0)] },
    ])
  }
}

extension JSONFields {
  /// The filter of a group's `query`.
  fileprivate mutating func groupQuery() -> String? {
    optional("query", JSONShape<String>.fields("") { $0.required("filter", .string(1...32_768)) })
  }
}

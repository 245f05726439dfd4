import FoundationEssentials

/// A service asks the registry which devices a filter means: the values on `martlet.device.selection`, keyed by `id`.
///
/// The registry answers with `SelectedDevices` of that id. Only it knows what filters ask for, and services do not call each
/// other.
public struct SelectionRequest: Sendable, Equatable {
  /// Chosen by who asks. The same once more is the same question.
  public let id: UUID
  /// Whose devices.
  public let organisationId: UUID
  /// In the filter language (docs/filters.md).
  public let filter: String

  public init(id: UUID, organisationId: UUID, filter: String) {
    (self.id, self.organisationId, self.filter) = (id, organisationId, filter)
  }

  /// The CloudEvents type.
  public static let type = "martlet.selection.requested"

  /// The record for the topic.
  public func event(traceparent: String?) -> Event {
    Event(
      topic: .deviceSelection, key: id.text, type: Self.type,
      json: [
        "selectionId": .string(id.text), "organisationId": .string(organisationId.text),
        "filter": .string(filter),
      ], traceparent: traceparent)
  }

  /// Reads a record.
  /// - Throws: what is wrong with it.
  public init(payload: [UInt8]) throws {
    var fields = JSONFields(try JSON(parsing: payload))
    self.init(
      id: fields.required("selectionId", .uuid), organisationId: fields.required("organisationId", .uuid),
      filter: fields.required("filter", .string(1...Int.max)))
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }
}

/// A page of the registry's answer: the values on `martlet.device.selected`, keyed by the selection's id, in order.
public struct SelectedDevices: Sendable, Equatable {
  /// A device that fits.
  public struct Member: Sendable, Equatable {
    /// Its record id.
    public let id: UUID
    public let deviceId: String

    public init(id: UUID, deviceId: String) { (self.id, self.deviceId) = (id, deviceId) }
  }

  /// Of the request.
  public let id: UUID
  /// Counts from 0. One that comes again has the number that it had.
  public let page: Int
  public let devices: [Member]
  public let isLast: Bool
  /// Why there is no answer; then this page is the last.
  public let fault: String?

  public init(id: UUID, page: Int, devices: [Member], isLast: Bool, fault: String? = nil) {
    (self.id, self.page, self.devices, self.isLast, self.fault) = (id, page, devices, isLast, fault)
  }

  /// The CloudEvents type.
  public static let type = "martlet.selection.page"

  /// The record for the topic.
  public func event(traceparent: String?) -> Event {
    Event(
      topic: .deviceSelected, key: id.text, type: Self.type,
      json: .compact([
        "selectionId": .string(id.text), "page": .int(Int64(page)), "last": .bool(isLast),
        "devices": .array(devices.map { ["id": .string($0.id.text), "deviceId": .string($0.deviceId)] }),
        "fault": fault.map { .string($0) },
      ]), traceparent: traceparent)
  }

  /// Reads a record.
  /// - Throws: what is wrong with it.
  public init(payload: [UInt8]) throws {
    var fields = JSONFields(try JSON(parsing: payload))
    self.init(
      id: fields.required("selectionId", .uuid), page: fields.required("page", .int(0...Int.max)),
      devices: fields.required("devices", Self.members),
      isLast: fields.required("last", .bool), fault: fields.optional("fault", .string(1...10_000)))
    if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
  }

  private static let members = JSONShape<Member>(
    Member(id: UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), deviceId: ""),
    expected: "a device"
  ) { json in
    guard let id = json["id"]?.string.flatMap({ UUID(text: $0) }), let deviceId = json["deviceId"]?.string
    else { return nil }
    return Member(id: id, deviceId: deviceId)
  }.array(0...10_000)
}

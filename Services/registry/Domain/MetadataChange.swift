import Wire

/// What a PUT does to the metadata of a device.
enum MetadataChange: Sendable {
  /// Fields that have a value are set, those that have none are removed, the others stay.
  case patch([Named<String?>])
  case replace(Metadata)

  private enum Operation: String, CaseIterable { case patch, replace }

  static let shape = JSONShape<MetadataChange>.fields(.patch([])) { body in
    switch body.required("operation", .word(Operation.patch)) {
    case .patch: .patch(body.metadataPatch("value"))
    case .replace: .replace(body.replacement())
    }
  }

  func applied(to metadata: Metadata) -> Metadata {
    switch self {
    case .patch(let changes): metadata.changed(changes)
    case .replace(let metadata): metadata
    }
  }
}

extension JSONFields {
  fileprivate mutating func replacement() -> Metadata {
    if !has("value") { fail("value", "is missing") }
    return metadata("value") ?? [:]
  }
}

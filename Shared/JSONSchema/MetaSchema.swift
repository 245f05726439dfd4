import Wire

/// The meta-schema of draft 2020-12 and its vocabularies: the only documents that a schema may refer to beside itself.
enum MetaSchema {
  /// The document of a URI, if it is one of them.
  static func document(_ uri: String) -> JSON? {
    guard let bytes = documents.first(where: { uri.isExactly($0.uri) })?.bytes else { return nil }
    return try? JSON(parsing: bytes())
  }

  private static let base = "https://json-schema.org/draft/2020-12/"
  private static let documents: [(uri: String, bytes: @Sendable () -> [UInt8])] = [
    (base + "schema", { PackageResources.schema_json }),
    (base + "meta/core", { PackageResources.core_json }),
    (base + "meta/applicator", { PackageResources.applicator_json }),
    (base + "meta/unevaluated", { PackageResources.unevaluated_json }),
    (base + "meta/validation", { PackageResources.validation_json }),
    (base + "meta/meta-data", { PackageResources.meta_data_json }),
    (base + "meta/format-annotation", { PackageResources.format_annotation_json }),
    (base + "meta/format-assertion", { PackageResources.format_assertion_json }),
    (base + "meta/content", { PackageResources.content_json }),
  ]
}

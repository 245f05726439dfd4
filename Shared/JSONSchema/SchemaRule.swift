import Wire

/// A JSON Schema that a tenant has stored, compiled once, for what has to fit it.
public enum SchemaRule: Sendable {
  case schema(JSONSchema)
  /// It was stored before the registry looked at schemas: nothing fits what cannot be read.
  case unusable(String)

  /// - Parameter schema: what was stored.
  public init(_ schema: JSON) {
    do throws(JSONFaults) { self = .schema(try JSONSchema(schema)) } catch {
      self = .unusable(error.description)
    }
  }

  /// What is wrong with a value, each fault with its pointer from the root of its body.
  /// - Parameters:
  ///   - pointer: where the value stands in the body.
  ///   - name: what the schema is called, for the one fault of one that cannot be read.
  public func faults(of value: JSON, at pointer: String, schema name: String) -> [JSONFault] {
    switch self {
    case .schema(let schema):
      schema.validate(value).map { JSONFault(pointer: pointer + $0.pointer, message: $0.message) }
    case .unusable(let why):
      [JSONFault(pointer: pointer, message: "cannot be checked, since \(name) is not valid: \(why)")]
    }
  }
}

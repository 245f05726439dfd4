import JSONSchema
import Testing
import Wire

/// The faults of a value, each as "pointer message".
func told(_ schema: String, _ value: String, limits: JSONSchemaLimits = JSONSchemaLimits()) throws -> [String]
{
  try JSONSchema(JSON(parsing: schema), limits: limits).validate(JSON(parsing: value)).map {
    $0.pointer.isEmpty ? $0.message : "\($0.pointer) \($0.message)"
  }
}

/// The faults of a schema, each as "pointer message"; none if it is taken.
func refusals(_ schema: String, limits: JSONSchemaLimits = JSONSchemaLimits()) throws -> [String] {
  let json = try JSON(parsing: schema)
  do throws(JSONFaults) {
    _ = try JSONSchema(json, limits: limits)
    return []
  } catch { return error.faults.map { "\($0.pointer) \($0.message)" } }
}

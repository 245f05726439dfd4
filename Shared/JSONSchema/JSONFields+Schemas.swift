import Wire

extension JSONFields {
  /// A JSON Schema that a body brings, and the steps from the body's root to it.
  public typealias Schema = (path: [String], json: JSON)

  /// Notes what is wrong with the schemas that a body brings. Their patterns share the bounds of one schema, so that many
  /// cost no more than one.
  public mutating func check(_ schemas: [Schema], limits: JSONSchemaLimits = JSONSchemaLimits()) {
    var left = limits
    for schema in schemas {
      do throws(JSONFaults) {
        let compiled = try JSONSchema(schema.json, limits: left)
        left.patterns -= compiled.patternCount
        left.patternSize -= compiled.patternSize
      } catch {
        for fault in error.faults { fail(schema.path, fault) }
        // What was refused need not have been cheap. The body is refused anyway: the rest may wait for its next try.
        left.patternSize -= limits.patternSize / 4
        if left.patternSize <= 0 { return }
      }
    }
  }
}

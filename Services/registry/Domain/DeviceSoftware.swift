import Wire

/// What runs on a device: the three attributes that have a place of their own in its state.
public enum DeviceSoftware {
  public static let applicationId = "applicationId"
  public static let applicationVersion = "applicationVersion"
  public static let algorithms = "algorithms"

  /// `initialDeviceState` of a POST, kept as attributes.
  static let shape = JSONShape<JSONObject>.fields(JSONObject()) { body in
    let version = body.has(applicationVersion)
    if version { _ = body.optional(applicationVersion, versionShape) }
    var attributes = JSONObject()
    attributes[applicationId] = body.optional(applicationId, idShape)
    attributes[applicationVersion] = version ? body.optional(applicationVersion, .any) : nil
    attributes[algorithms] = body.optional(algorithms, algorithmsShape)
    return attributes
  }

  /// Whether an attribute that a device sent has the form that its place in the state asks for.
  static func fits(_ name: String, _ value: JSON) -> Bool {
    switch name {
    case applicationId: value.string != nil || value.int != nil
    case applicationVersion:
      parts.allSatisfy { value[$0]?.int.map { $0 >= 0 } ?? false }
        && value.object?.members.count == parts.count
    case algorithms: value.array != nil || value.object != nil
    default: false
    }
  }

  private static let parts = ["major", "minor", "revision", "buildNum"]
  private static let idShape = JSONShape<JSON>(.null, expected: "a string or a whole number") {
    fits(applicationId, $0) ? $0 : nil
  }
  private static let versionShape = JSONShape<Bool>.fields(false) { version in
    for part in parts { _ = version.required(part, .int(0...Int(Int32.max))) }
    return true
  }
  private static let algorithmsShape = JSONShape<JSON>(.null, expected: "an array or an object") {
    fits(algorithms, $0) ? $0 : nil
  }
}

import Postgres
import Runtime
import Wire

extension PostgresError {
  /// What a client is told when a constraint refuses its change; nil for what is no client's fault.
  ///
  /// The tables decide, not a look before: two requests at the same time get the same answers as one after the other.
  var refusal: Problem? {
    switch (code, constraint) {
    case (Self.unique, "organisation_slug"): .taken("/slug", "Another organisation has this slug.")
    case (Self.unique, "device_device_id"): .taken("/deviceId", "Another device has this deviceId.")
    case (Self.unique, "device_mcu_id"): .taken("/mcuId", "Another device with this SoC has this mcuId.")
    case (Self.unique, "device_metadata_unique"):
      .taken("/metadataFields", "Devices of this board have the same value of a field that is to be unique.")
    case (Self.foreignKey, "board_organisation"), (Self.foreignKey, "device_organisation"),
      (Self.foreignKey, "api_key_organisation"), (Self.foreignKey, "network_organisation"),
      (Self.foreignKey, "sensor_profile_organisation"), (Self.foreignKey, "device_group_organisation"):
      .unknownReference("/organisationId", "organisation")
    case (Self.lockTimeout, _):
      .unavailable("Another change of this organisation's devices or groups is under way.")
    case (Self.foreignKey, "device_board"): .taken("/soc", "Devices use this board: its SoC cannot change.")
    default: nil
    }
  }

  /// Whether a statement took longer than it may.
  var isStatementTimeout: Bool { kind == .timeout && code == "57014" }

  static let unique = "23505"
  static let foreignKey = "23503"
  static let lockTimeout = "55P03"

  /// Whether the same transaction may go through when it is tried again: a deadlock, or it has waited long enough and
  /// had to let others have its connection.
  var isWorthAnotherTry: Bool { isDeadlock || code == Self.lockTimeout }
}

extension Problem {
  /// 422 for a filter that looks at too many devices.
  static func tooDear(seconds: Duration) -> Problem {
    Problem(
      422,
      "The filter is too expensive: it took more than \(seconds.components.seconds) s. Add a condition that an index serves, such as boardId, soc, mcuId, name or a metadata field with ==."
    )
  }

  /// 409 with the field that is in the way.
  static func taken(_ pointer: String, _ detail: String) -> Problem {
    Problem(409, detail, errors: [JSONFault(pointer: pointer, message: detail)])
  }

  /// 404 for what a body names and the caller cannot see: the same whether it exists or not.
  static func unknownReference(_ pointer: String, _ what: String) -> Problem {
    let detail = "There is no such \(what)."
    return Problem(404, detail, errors: [JSONFault(pointer: pointer, message: detail)])
  }
}

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
    case (Self.unique, "device_unique_metadata_value"):
      .taken("/metadataFields", "Devices of this board have the same value of a field that is to be unique.")
    case (Self.foreignKey, "board_organisation"), (Self.foreignKey, "device_organisation"),
      (Self.foreignKey, "api_key_organisation"):
      .unknownReference("/organisationId", "organisation")
    case (Self.foreignKey, "device_board"): .taken("/soc", "Devices use this board: its SoC cannot change.")
    default: nil
    }
  }

  static let unique = "23505"
  static let foreignKey = "23503"
}

extension Problem {
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

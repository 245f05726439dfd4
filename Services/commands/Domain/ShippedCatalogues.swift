import Wire

/// The catalogues that come with the suite, by the board's `deviceType` (SPEC, section 6.3).
enum ShippedCatalogue {
  /// The commands of such a device; nil for a type that none ships for. They stand in the place of the built-in ones, which it
  /// does not know.
  static func of(_ deviceType: String?) -> JSONObject? {
    guard deviceType == "iotee_device" else { return nil }
    return ["lock": entry("1"), "unlock": entry("0"), "reboot": entry("reboot")]
  }

  private static func entry(_ payload: String) -> JSON {
    [
      "topic": "iotee/dev/{hardware_id}/rls", "payload": .string(payload),
      "answerTopic": "iotee/dev/{hardware_id}/ack",
      "answers": ["acknowledged": "ack", "completed": "done", "failed": "error"],
      "paramsSchema": ["type": "object", "maxProperties": 0],
    ]
  }
}

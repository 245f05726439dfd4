import Wire

/// A command's id, as two numbers: half the size of the text, and hashed in no time.
struct CommandId: Hashable, Sendable {
  let high: UInt64
  let low: UInt64

  init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  /// Reads a UUID; nil if these 36 bytes are none.
  init?(_ text: some Collection<UInt8>) {
    guard text.count == 36 else { return nil }
    var (high, low, digits) = (UInt64(0), UInt64(0), 0)
    for (index, byte) in text.enumerated() {
      if index == 8 || index == 13 || index == 18 || index == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
        continue
      }
      guard let digit = Self.digit(byte) else { return nil }
      if digits < 16 { high = high << 4 | digit } else { low = low << 4 | digit }
      digits += 1
    }
    (self.high, self.low) = (high, low)
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}

/// What a device has to know of a command: its id and its type, as they stand in the JSON.
struct ReceivedCommand: Sendable {
  let id: CommandId
  /// The id's text, to be put into answers.
  let idText: [UInt8]
  /// The type's text, ready to be put between quotes.
  let type: [UInt8]

  private static let start = Array(#"{"id":""#.utf8)
  private static let middle = Array(#"","type":""#.utf8)

  /// Reads it; nil if it is no command.
  ///
  /// The suite writes id and type first, so the rest need not be parsed; any other order is read the long way.
  init?(_ payload: [UInt8]) {
    if let (idText, type) = Self.atTheFront(payload), let id = CommandId(idText) {
      (self.id, self.idText, self.type) = (id, idText, type)
      return
    }
    guard let json = try? JSON(parsing: payload), let idText = json["id"]?.string.map({ Array($0.utf8) }),
      let id = CommandId(idText), let type = json["type"]?.string
    else { return nil }
    (self.id, self.idText, self.type) = (id, idText, Array(JSON.string(type).bytes.dropFirst().dropLast()))
  }

  private static func atTheFront(_ payload: [UInt8]) -> (id: [UInt8], type: [UInt8])? {
    let idEnd = start.count + 36
    let typeStart = idEnd + middle.count
    guard payload.count > typeStart, payload.starts(with: start), payload[idEnd..<typeStart] == middle[...],
      let end = payload[typeStart...].firstIndex(where: {
        $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\")
      }),
      payload[end] == UInt8(ascii: "\"")
    else { return nil }
    return (Array(payload[start.count..<idEnd]), Array(payload[typeStart..<end]))
  }
}

import Wire

/// The bytes that a device answers with. Written by hand: they are a simulated fleet's hot path.
enum Answers {
  static func acknowledged(_ command: ReceivedCommand) -> [UInt8] {
    join(#"{"id":""#, command.idText, #"","status":"ACKNOWLEDGED"}"#)
  }

  static func success(_ command: ReceivedCommand, took: Int) -> [UInt8] {
    var bytes = join(#"{"id":""#, command.idText, #"","status":"SUCCESS","result":{"type":""#)
    bytes += command.type
    bytes += #"","took":"#.utf8
    bytes += "\(took)}}".utf8
    return bytes
  }

  static func failed(_ command: ReceivedCommand) -> [UInt8] {
    join(
      #"{"id":""#, command.idText,
      #"","status":"FAILED","error":{"code":"simulated","message":"told to fail"}}"#)
  }

  /// Neither JSON nor UTF-8.
  static let garbage: [UInt8] = Array("{\"id\":".utf8) + [0xFF, 0xFE, 0x00] + Array("not json".utf8)

  static let online = Array(#"{"online":true}"#.utf8)
  static let offline = Array(#"{"online":false}"#.utf8)

  private static func join(_ start: StaticString, _ middle: [UInt8], _ end: StaticString) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(start.utf8CodeUnitCount + middle.count + end.utf8CodeUnitCount + 48)
    bytes.append(contentsOf: UnsafeBufferPointer(start: start.utf8Start, count: start.utf8CodeUnitCount))
    bytes += middle
    bytes.append(contentsOf: UnsafeBufferPointer(start: end.utf8Start, count: end.utf8CodeUnitCount))
    return bytes
  }
}

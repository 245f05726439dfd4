import FoundationEssentials
import Wire

/// Whose an event is, found in its bytes without reading the whole: most events are nobody's who listens.
public enum EventOwner {
  private static let name = Array("organisationId".utf8)

  /// The value of the member `organisationId` of the outermost object; nil if there is none. What is nested does not count:
  /// much of that is what tenants write.
  /// - Parameter json: an object as the suite's services write it.
  public static func find(in json: UnsafeRawBufferPointer) -> UUID? {
    var (position, depth) = (0, 0)
    while position < json.count {
      switch json[position] {
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: "\""):
        let start = position + 1
        position = endOfText(json, start)
        if depth == 1, isName(json, start..<position) { return value(json, position + 1) }
      default: break
      }
      position += 1
    }
    return nil
  }

  /// Where the quote is that ends it.
  private static func endOfText(_ json: UnsafeRawBufferPointer, _ start: Int) -> Int {
    var position = start
    while position < json.count, json[position] != UInt8(ascii: "\"") {
      position += json[position] == UInt8(ascii: "\\") ? 2 : 1
    }
    return min(position, json.count)
  }

  /// Whether it is that name, and a name: a colon follows.
  private static func isName(_ json: UnsafeRawBufferPointer, _ text: Range<Int>) -> Bool {
    guard text.count == name.count, text.upperBound + 1 < json.count,
      json[text.upperBound + 1] == UInt8(ascii: ":")
    else { return false }
    return zip(text, name).allSatisfy { json[$0] == $1 }
  }

  private static func value(_ json: UnsafeRawBufferPointer, _ colon: Int) -> UUID? {
    let text = colon + 2..<colon + 38
    guard text.upperBound < json.count, json[colon + 1] == UInt8(ascii: "\""),
      json[text.upperBound] == UInt8(ascii: "\"")
    else { return nil }
    return UUID(text: String(decoding: json[text], as: UTF8.self))
  }
}

import FoundationEssentials
import Wire

/// A keyset cursor: the sort values of the last item of a page, opaque to clients.
public struct Cursor: Sendable {
  /// The values, in the order of the sort.
  public let values: [String]

  public init(_ values: [String]) { self.values = values }

  /// What stands in `nextCursor`.
  public var text: String {
    let json = JSON.array(values.map { .string($0) })
    let base64 = Data(json.bytes).base64EncodedString()
    return String(
      base64.compactMap { character in
        switch character {
        case "+": "-"
        case "/": "_"
        case "=": nil
        default: character
        }
      })
  }

  /// For a cursor that no list gave out.
  public static let unknown = Problem.badRequest("cursor is not one that this list gave out.")

  /// Reads a client's cursor.
  /// - Throws: 400 if it is none of ours, or not one of so many values.
  public init(_ text: String, count: Int) throws {
    var base64 = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
    base64 += String(repeating: "=", count: (4 - base64.count % 4) % 4)
    guard let data = Data(base64Encoded: base64), let json = try? JSON(parsing: Array(data)),
      let values = json.array?.compactMap(\.string), values.count == count
    else { throw Self.unknown }
    self.values = values
  }
}

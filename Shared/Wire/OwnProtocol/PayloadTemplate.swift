import FoundationEssentials

/// The payload of a command with places: a text such as `1` or `{"n":{params.n}}`, or a JSON value.
///
/// A text that is JSON once its places are filled is one of JSON: there a value in quotes is escaped as a string, and one
/// without quotes stands as the JSON that it is, so that a number stays one. In any other text values stand as they are, and
/// those that could change its form are refused. In a JSON value a text that is nothing but a place becomes the value itself.
public struct PayloadTemplate: Sendable, Equatable {
  private indirect enum Form: Sendable, Equatable {
    /// With whether each piece stands in quotes.
    case json([(piece: TemplatePiece, isQuoted: Bool)])
    case text([TemplatePiece], hasQuotes: Bool)
    case value(Value)
    /// The params as they are.
    case params

    static func == (a: Form, b: Form) -> Bool {
      switch (a, b) {
      case (.json(let a), .json(let b)): a.elementsEqual(b) { $0 == $1 }
      case (.text(let a, _), .text(let b, _)): a == b
      case (.value(let a), .value(let b)): a == b
      case (.params, .params): true
      case (.json, _), (.text, _), (.value, _), (.params, _): false
      }
    }
  }

  private indirect enum Value: Sendable, Equatable {
    case text([TemplatePiece])
    case array([Value])
    case object([Member])
    case other(JSON)
  }

  private struct Member: Sendable, Equatable {
    let name: String
    let value: Value
  }

  private let form: Form

  /// - Parameter template: as the catalogue has it; nil or null for the command's params as they are.
  /// - Throws: why it is none.
  public init(_ template: JSON?) throws(TemplateFault) {
    switch template ?? .null {
    case .null: form = .params
    case .string(let text): form = try Self.form(text)
    case let json: form = .value(try Self.value(json))
    }
  }

  private static func form(_ text: String) throws(TemplateFault) -> Form {
    let pieces = try pieces(text)
    var quoted: [(piece: TemplatePiece, isQuoted: Bool)] = []
    var (isQuoted, isEscaped, hasQuotes) = (false, false, false)
    for piece in pieces {
      quoted.append((piece, isQuoted))
      guard case .text(let text) = piece else {
        isEscaped = false
        continue
      }
      for byte in text.utf8 {
        if byte == UInt8(ascii: "\""), !isEscaped {
          isQuoted.toggle()
          hasQuotes = true
        }
        isEscaped = byte == UInt8(ascii: "\\") && isQuoted && !isEscaped
      }
    }
    let isJSON = [#""x""#, "0"].allSatisfy { sample in
      let filled = quoted.map { piece, isQuoted in
        if case .text(let text) = piece { text } else { isQuoted ? "x" : sample }
      }.joined()
      return switch try? JSON(parsing: Array(filled.utf8)) {
      case .object, .array: true
      case .string: hasQuotes
      case .null, .bool, .int, .double, .decimal, nil: false
      }
    }
    return isJSON ? .json(quoted) : .text(pieces, hasQuotes: hasQuotes)
  }

  /// Braces with anything but a name between them are text.
  private static func pieces(_ text: String) throws(TemplateFault) -> [TemplatePiece] {
    var pieces: [TemplatePiece] = []
    var literal = Substring()
    var rest = Substring(text)
    while let open = rest.unicodeScalars.firstIndex(of: "{") {
      literal += rest[..<open]
      rest = rest[rest.unicodeScalars.index(after: open)...]
      let name = Substring(rest.unicodeScalars.prefix(while: isOfName))
      let end = name.endIndex
      guard let first = name.unicodeScalars.first, first.properties.isAlphabetic, end < rest.endIndex,
        rest.unicodeScalars[end] == "}"
      else {
        literal += "{"
        continue
      }
      guard let place = Placeholder(name) else {
        throw TemplateFault(message: "has {\(name)}, which is no place that can be filled in")
      }
      if !literal.isEmpty { pieces.append(.text(String(literal))) }
      pieces.append(.place(place))
      literal = Substring()
      rest = rest[rest.unicodeScalars.index(after: end)...]
    }
    literal += rest
    if !literal.isEmpty { pieces.append(.text(String(literal))) }
    return pieces
  }

  private static func isOfName(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
        || "_.-".unicodeScalars.contains(scalar))
  }

  private static func value(_ json: JSON) throws(TemplateFault) -> Value {
    switch json {
    case .string(let text): return .text(try pieces(text))
    case .array(let elements):
      var values: [Value] = []
      for element in elements { values.append(try value(element)) }
      return .array(values)
    case .object(let object):
      var members: [Member] = []
      for member in object.members {
        members.append(Member(name: member.name, value: try value(member.value)))
      }
      return .object(members)
    case .null, .bool, .int, .double, .decimal: return .other(json)
    }
  }

  // MARK: Filling in

  /// The payload with its places filled in.
  /// - Throws: what is wrong with a param.
  public func payload(_ values: TemplateValues) throws(JSONFaults) -> String {
    try checkSize(values)
    switch form {
    case .params: return JSON.object(values.params).text
    case .value(let value): return try Self.filled(value, values).text
    case .text(let pieces, let hasQuotes):
      return try Self.joined(pieces, values) { place, value throws(JSONFaults) in
        try Self.plain(place, value, hasQuotes: hasQuotes)
      }
    case .json(let pieces):
      var text = ""
      for (piece, isQuoted) in pieces {
        switch piece {
        case .text(let literal): text += literal
        case .place(let place):
          let value = try values[place]
          text += isQuoted ? Self.escaped(try Self.word(place, value)) : value.text
        }
      }
      guard (try? JSON(parsing: Array(text.utf8), maximumDepth: 1000)) != nil else {
        throw JSONFaults([JSONFault(pointer: "/params", message: "does not make valid JSON of the payload")])
      }
      return text
    }
  }

  /// Before anything is written: a short template can name a long param a thousand times.
  private func checkSize(_ values: TemplateValues) throws(JSONFaults) {
    var sizes: [String: Int] = [:]
    var total = 0
    for case .param(let name) in places {
      let size = sizes[name] ?? values.params[name]?.bytes.count ?? 0
      sizes[name] = size
      total += size
      guard total <= Self.mostFilledIn else {
        throw TemplateValues.fault(
          .param(name), "makes the payload larger than \(Self.mostFilledIn) bytes with the others")
      }
    }
  }

  /// In bytes, before they are escaped.
  private static let mostFilledIn = 256 * 1024

  private var places: [Placeholder] {
    switch form {
    case .params: []
    case .text(let pieces, _): Self.places(pieces)
    case .json(let pieces): Self.places(pieces.map(\.piece))
    case .value(let value): Self.places(value)
    }
  }

  private static func places(_ pieces: [TemplatePiece]) -> [Placeholder] {
    pieces.compactMap { if case .place(let place) = $0 { place } else { nil } }
  }

  private static func places(_ value: Value) -> [Placeholder] {
    switch value {
    case .other: []
    case .text(let pieces): places(pieces)
    case .array(let elements): elements.flatMap(places)
    case .object(let members): members.flatMap { places($0.value) }
    }
  }

  private static func joined(
    _ pieces: [TemplatePiece], _ values: TemplateValues,
    _ write: (Placeholder, JSON) throws(JSONFaults) -> String
  ) throws(JSONFaults) -> String {
    var text = ""
    for piece in pieces {
      switch piece {
      case .text(let literal): text += literal
      case .place(let place): text += try write(place, try values[place])
      }
    }
    return text
  }

  private static func filled(_ value: Value, _ values: TemplateValues) throws(JSONFaults) -> JSON {
    switch value {
    case .other(let json): return json
    case .text(let pieces):
      if pieces.count == 1, case .place(let place) = pieces[0] { return try values[place] }
      return .string(try joined(pieces, values, word))
    case .array(let elements):
      var filled: [JSON] = []
      for element in elements { filled.append(try self.filled(element, values)) }
      return .array(filled)
    case .object(let members):
      var object = JSONObject()
      for member in members { object[member.name] = try filled(member.value, values) }
      return .object(object)
    }
  }

  /// A value as a part of a text.
  private static func word(_ place: Placeholder, _ value: JSON) throws(JSONFaults) -> String {
    switch value {
    case .string(let text): return text
    case .null: throw TemplateValues.fault(place, "is null and stands in a text")
    case .bool, .int, .double, .decimal, .array, .object: return value.text
    }
  }

  /// As `word`, where nothing escapes what it could break.
  private static func plain(
    _ place: Placeholder, _ value: JSON, hasQuotes: Bool
  ) throws(JSONFaults) -> String {
    let text = try word(place, value)
    guard !text.unicodeScalars.contains(where: \.isControl) else {
      throw TemplateValues.fault(place, "stands in a plain text: must not hold control characters")
    }
    guard !hasQuotes || !text.utf8.contains(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") })
    else {
      throw TemplateValues.fault(place, "stands in a text with quotes: must not hold quotes or backslashes")
    }
    return text
  }

  private static func escaped(_ text: String) -> String {
    String(decoding: JSON.string(text).bytes.dropFirst().dropLast(), as: UTF8.self)
  }
}

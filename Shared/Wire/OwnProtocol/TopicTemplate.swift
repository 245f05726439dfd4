import FoundationEssentials

/// An MQTT topic with places, such as `iotee/dev/{hardware_id}/rls`.
///
/// Its levels are fixed: no value can add one, since none may hold a `/`. Its first level has no place in it, so that it can
/// never come to stand below `martlet/` or `$SYS`.
public struct TopicTemplate: Sendable, Equatable {
  private let levels: [[TemplatePiece]]

  /// - Parameter params: whether it may have places for params.
  /// - Throws: why it is not safe.
  public init(_ text: String, params: Bool = true) throws(TemplateFault) {
    try self.init(text, params: params, longest: Self.longest)
  }

  private init(_ text: String, params: Bool = true, longest: Int) throws(TemplateFault) {
    guard (1...longest).contains(text.utf8.count) else {
      throw TemplateFault(message: "must be of 1 to \(longest) bytes")
    }
    // By bytes, here and below: a letter of its own for Swift is also a slash with an accent over it.
    let levels = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      .map { Substring($0) }
    guard levels.count <= Self.mostLevels else {
      throw TemplateFault(message: "must have at most \(Self.mostLevels) levels")
    }
    if let fault = Self.fault(first: levels[0]) { throw TemplateFault(message: fault) }
    var read: [[TemplatePiece]] = []
    for level in levels { read.append(try Self.level(level, params: params)) }
    self.levels = read
  }

  /// In bytes.
  public static let longest = 1000
  private static let mostLevels = 32

  private static func level(_ text: Substring, params: Bool) throws(TemplateFault) -> [TemplatePiece] {
    var pieces: [TemplatePiece] = []
    var rest = text
    while let open = rest.unicodeScalars.firstIndex(of: "{") {
      try check(rest[..<open])
      if open > rest.startIndex { pieces.append(.text(String(rest[..<open]))) }
      guard let close = rest.unicodeScalars[open...].firstIndex(of: "}") else {
        throw TemplateFault(message: "has a { without its }")
      }
      let name = rest[rest.unicodeScalars.index(after: open)..<close]
      guard let place = Placeholder(name) else {
        throw TemplateFault(message: "has {\(name)}, which is no place that can be filled in")
      }
      if case .param = place, !params {
        throw TemplateFault(message: "must not depend on a command's params")
      }
      pieces.append(.place(place))
      rest = rest[rest.unicodeScalars.index(after: close)...]
    }
    try check(rest)
    if !rest.isEmpty { pieces.append(.text(String(rest))) }
    return pieces
  }

  private static func check(_ text: Substring) throws(TemplateFault) {
    if let bad = text.unicodeScalars.first(where: { wild.contains($0) || $0.isControl }) {
      throw TemplateFault(message: "must not hold \(bad.isControl ? "control characters" : "a \(bad)")")
    }
  }

  /// Wild cards, and the end of a place that has no beginning.
  private static let wild: [Unicode.Scalar] = ["+", "#", "}"]

  private static func fault(first level: Substring) -> String? {
    if level.utf8.contains(UInt8(ascii: "{")) { return "must have a first level without places" }
    if level == "martlet" || level.utf8.first == UInt8(ascii: "$") { return "must not begin with \(level)" }
    return nil
  }

  /// Whether something may be published to a topic that is said to come from a template. Braces are text by then.
  public static func allows(_ topic: String, longest: Int = longest) -> Bool {
    let levels = topic.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard (1...longest).contains(topic.utf8.count), levels.count <= mostLevels,
      !topic.unicodeScalars.contains(where: { $0 == "+" || $0 == "#" || $0.isControl })
    else { return false }
    return levels.first.map { !$0.elementsEqual("martlet".utf8) && $0.first != UInt8(ascii: "$") } ?? false
  }

  /// Whether a filter may be subscribed to that is said to be one of answers.
  public static func allows(filter: String) -> Bool {
    let levels = filter.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let filled = levels.map { $0.elementsEqual("+".utf8) ? "x" : String(Substring($0)) }.joined(
      separator: "/")
    return levels.first?.elementsEqual("+".utf8) == false && allows(filled)
  }

  /// Whether it names the device, so that no other of its organisation has the same.
  public var namesDevice: Bool {
    levels.joined().contains(.place(.hardwareId)) || levels.joined().contains(.place(.deviceId))
  }

  /// The filter that takes it of every device: a level with a place in it is any.
  public var filter: String {
    levels.map(Self.filter).joined(separator: "/")
  }

  private static func filter(_ level: [TemplatePiece]) -> String {
    var whole = ""
    for piece in level {
      guard case .text(let text) = piece else { return "+" }
      whole += text
    }
    return whole
  }

  /// The topic with its places filled in.
  /// - Throws: what is wrong with a param.
  public func topic(_ values: TemplateValues) throws(JSONFaults) -> String {
    var topic = ""
    for (number, level) in levels.enumerated() {
      if number > 0 { topic += "/" }
      for piece in level {
        switch piece {
        case .text(let text): topic += text
        case .place(let place): topic += try Self.part(place, try values[place])
        }
      }
    }
    return topic
  }

  private static func part(_ place: Placeholder, _ value: JSON) throws(JSONFaults) -> String {
    let text: String
    switch value {
    case .string(let string): text = string
    case .int, .double, .decimal, .bool: text = value.text
    case .null, .array, .object:
      throw TemplateValues.fault(place, "is \(value.kind) and stands in a topic: must be text or a number")
    }
    guard (1...longestPart).contains(text.utf8.count) else {
      throw TemplateValues.fault(place, "stands in a topic: must be of 1 to \(longestPart) bytes")
    }
    guard !text.unicodeScalars.contains(where: { separators.contains($0) || $0.isControl }) else {
      throw TemplateValues.fault(place, "stands in a topic: must not hold /, +, # or control characters")
    }
    return text
  }

  private static let longestPart = 256
  private static let separators: [Unicode.Scalar] = ["/", "+", "#"]
}

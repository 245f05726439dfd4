import FoundationEssentials

/// How a device with a protocol of its own is sent one command, and how it answers (SPEC, section 6.3): the entry of a board's
/// catalogue that has a `topic`.
public struct OwnProtocol: Sendable, Equatable {
  public let topic: TopicTemplate
  public let payload: PayloadTemplate
  /// Nil for a device that does not answer.
  public let answerTopic: TopicTemplate?
  public let answers: AnswerWords

  /// Reads it from an entry of a catalogue; nil for one of the native protocol.
  /// - Throws: what is wrong, with pointers from the entry.
  public init?(entry: JSON) throws(JSONFaults) {
    let given = ["topic", "payload", "answerTopic", "answers"].filter { entry[$0] ?? .null != .null }
    guard given.contains("topic") else {
      if given.isEmpty { return nil }
      throw JSONFaults(given.map { JSONFault(pointer: "/\($0)", message: "needs a topic beside it") })
    }
    var faults: [JSONFault] = []
    let topic = Self.template("topic", entry, params: true, &faults)
    let answerTopic =
      given.contains("answerTopic") ? Self.template("answerTopic", entry, params: false, &faults) : nil
    if let answerTopic, !answerTopic.namesDevice {
      faults.append(
        JSONFault(pointer: "/answerTopic", message: "must name the device: {hardware_id} or {device_id}"))
    }
    if let topic, let answerTopic, topic.filter.isExactly(answerTopic.filter) {
      faults.append(JSONFault(pointer: "/answerTopic", message: "must be another than the topic"))
    }
    if given.contains("answers"), !given.contains("answerTopic") {
      faults.append(JSONFault(pointer: "/answers", message: "needs an answerTopic beside it"))
    }
    let answers = AnswerWords(entry["answers"] ?? .null, &faults)
    var payload: PayloadTemplate?
    do { payload = try PayloadTemplate(entry["payload"]) } catch {
      faults.append(JSONFault(pointer: "/payload", message: error.message))
    }
    if (entry["payload"]?.bytes.count ?? 0) > Self.longestPayload {
      faults.append(
        JSONFault(pointer: "/payload", message: "must be of at most \(Self.longestPayload) bytes"))
    }
    guard let topic, let payload, faults.isEmpty else { throw JSONFaults(faults) }
    (self.topic, self.payload, self.answerTopic, self.answers) = (topic, payload, answerTopic, answers)
  }

  private static let longestPayload = 16 * 1024

  private static func template(
    _ name: String, _ entry: JSON, params: Bool, _ faults: inout [JSONFault]
  ) -> TopicTemplate? {
    guard let text = entry[name]?.string else {
      faults.append(JSONFault(pointer: "/\(name)", message: "must be a string"))
      return nil
    }
    do { return try TopicTemplate(text, params: params) } catch {
      faults.append(JSONFault(pointer: "/\(name)", message: error.message))
      return nil
    }
  }
}

/// The words with which a device answers. Blanks around a word do not count, nor does its case.
public struct AnswerWords: Sendable, Equatable {
  private let words: [(word: String, status: DeviceStatus)]

  private static let names: [(name: String, status: DeviceStatus, standard: String)] = [
    ("acknowledged", .acknowledged, "ack"), ("completed", .success, "done"), ("failed", .failed, "error"),
  ]

  public static func == (a: AnswerWords, b: AnswerWords) -> Bool {
    a.words.elementsEqual(b.words) { $0 == $1 }
  }

  /// - Parameter json: `{acknowledged?, completed?, failed?}`, each a word or a list of words; null for those of `iotee_device`.
  public init(_ json: JSON, _ faults: inout [JSONFault]) {
    var words: [(word: String, status: DeviceStatus)] = []
    for (name, status, standard) in Self.names {
      let value = json == .null ? .string(standard) : json[name] ?? .null
      let list = value.array ?? (value == .null ? [] : [value])
      if list.count > 16 {
        faults.append(JSONFault(pointer: "/answers/\(name)", message: "has more than 16 words"))
      }
      for entry in list.prefix(16) {
        let word = Self.plain(entry.string ?? "")
        if entry.string == nil || word.isEmpty || word.utf8.count > Self.longest {
          faults.append(
            JSONFault(
              pointer: "/answers/\(name)", message: "must be a word or words of 1 to \(Self.longest) bytes"))
        } else if words.contains(where: { $0.word == word }) {
          faults.append(JSONFault(pointer: "/answers/\(name)", message: "has the word \(word) once more"))
        } else {
          words.append((word, status))
        }
      }
    }
    self.words = words
  }

  /// So long a word may be, in bytes.
  public static let longest = 128

  /// What an answer means; nil for none of the words.
  public func status(of answer: String) -> DeviceStatus? {
    let word = Self.plain(answer)
    return words.first { $0.word.isExactly(word) }?.status
  }

  /// A word as it is compared: without blanks and zero bytes around it, in lower case.
  public static func plain(_ text: String) -> String {
    let isBlank = { (scalar: Unicode.Scalar) in
      scalar.properties.isWhitespace || scalar.value == 0 || scalar.value == 0xFEFF
    }
    let scalars = text.unicodeScalars
    guard let first = scalars.firstIndex(where: { !isBlank($0) }),
      let last = scalars.lastIndex(where: { !isBlank($0) })
    else { return "" }
    return String(scalars[first...last]).lowercased()
  }

  /// As it is kept with a command.
  public var json: JSON {
    .object(
      JSONObject(
        Self.names.map { name, status, _ in
          Named(
            name: name,
            value: .array(words.filter { $0.status == status }.map { .string($0.word) }))
        }))
  }
}

import FoundationEssentials
import Wire

/// What a command is for a device with a protocol of its own: made with the command, and never again, so that what is sent
/// once more is the same, and an answer means what it meant then.
public struct OwnCommand: Sendable, Equatable {
  public let topic: String
  public let payload: String
  /// Where the device answers.
  public let answerTopic: String?
  /// The filter of the answers of all such devices.
  public let answerFilter: String?
  public let answers: AnswerWords
  /// Those of its topics that are one device's alone.
  public let claims: [String]

  /// Fills the templates in.
  /// - Throws: what is wrong with a param, from the root of a body that has them as `params`.
  public init(_ own: OwnProtocol, _ values: TemplateValues) throws(JSONFaults) {
    topic = try own.topic.topic(values)
    payload = try own.payload.payload(values)
    let answerTopic = try own.answerTopic?.topic(values)
    (self.answerTopic, answerFilter, answers) = (answerTopic, own.answerTopic?.filter, own.answers)
    claims = (own.topic.namesDevice ? [topic] : []) + (answerTopic.map { [$0] } ?? [])
  }

  /// What the bridge gets of it.
  public var delivery: OwnDelivery {
    OwnDelivery(topic: topic, payload: payload, answerFilter: answerFilter)
  }

  /// As it is stored.
  public var json: JSON {
    .compact([
      "topic": .string(topic), "payload": .string(payload), "answerTopic": answerTopic.map { .string($0) },
      "answerFilter": answerFilter.map { .string($0) }, "answers": answers.json,
    ])
  }

  /// Reads what is stored; nil for what it cannot be.
  public init?(stored: JSON) {
    guard let topic = stored["topic"]?.string, let payload = stored["payload"]?.string else { return nil }
    (self.topic, self.payload) = (topic, payload)
    (answerTopic, answerFilter) = (stored["answerTopic"]?.string, stored["answerFilter"]?.string)
    var faults: [JSONFault] = []
    answers = AnswerWords(stored["answers"] ?? .null, &faults)
    claims = []
  }
}

/// An open command that the bridge was given, as far as an answer without an id may belong to it.
public struct AnswerCandidate: Sendable, Equatable {
  public let id: UUID
  public let organisationId: UUID
  public let deviceId: String
  public let createdAt: Date
  public let answers: AnswerWords

  public init(id: UUID, organisationId: UUID, deviceId: String, createdAt: Date, answers: AnswerWords) {
    (self.id, self.organisationId, self.deviceId) = (id, organisationId, deviceId)
    (self.createdAt, self.answers) = (createdAt, answers)
  }
}

/// The open commands of one answer topic, oldest first, and what answers make of them, one after the other.
public struct AnswerQueue: Sendable {
  /// Why an answer moves nothing.
  public enum Refusal: String, Error, CustomStringConvertible {
    case nothingOpen = "no command is open that it could answer"
    case unknownWord = "not one of the words of the device's protocol"
    case severalTenants = "devices of several organisations answer on this topic"

    public var description: String { rawValue }
  }

  /// How far the bridge's clock, which says when an answer came, may be behind the one that says when a command was made.
  private static let skew: TimeInterval = 2

  private var open: [AnswerCandidate]
  /// The device whose commands alone wait for answers there, also such as are held until it is heard from; nil where there are
  /// several, or none.
  public let onlyDevice: String?

  /// - Parameter held: devices of commands that the bridge was not given.
  public init(_ open: [AnswerCandidate], held: [String] = []) {
    self.open = open
    let devices = Set(open.map(\.deviceId) + held)
    onlyDevice = devices.count == 1 ? devices.first : nil
  }

  /// What an answer is: one to the oldest open command that was there when it came.
  /// - Throws: why it is nobody's.
  public mutating func take(
    _ text: String, at time: Date
  ) throws(Refusal) -> (of: AnswerCandidate, answer: CommandAnswer) {
    guard let first = open.first else { throw .nothingOpen }
    guard open.allSatisfy({ $0.organisationId == first.organisationId }) else { throw .severalTenants }
    guard let index = open.firstIndex(where: { $0.createdAt <= time + Self.skew }) else { throw .nothingOpen }
    let candidate = open[index]
    guard let status = candidate.answers.status(of: text) else { throw .unknownWord }
    if status != .acknowledged { open.remove(at: index) }
    let fault = CommandFault(code: AnswerWords.plain(text), message: "The device said so.")
    return (
      candidate, CommandAnswer(id: candidate.id, status: status, error: status == .failed ? fault : nil)
    )
  }
}

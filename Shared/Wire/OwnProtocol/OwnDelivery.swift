/// Where and how a command goes to a device with a protocol of its own: all places are filled in.
public struct OwnDelivery: Sendable, Equatable {
  public let topic: String
  public let payload: String
  /// The filter of the answers that have to be heard before this goes; nil where none come.
  public let answerFilter: String?

  public init(topic: String, payload: String, answerFilter: String?) {
    (self.topic, self.payload, self.answerFilter) = (topic, payload, answerFilter)
  }

  var json: JSON {
    .compact([
      "topic": .string(topic), "payload": .string(payload), "answerFilter": answerFilter.map { .string($0) },
    ])
  }

  /// Nothing that is read here may reach another topic than those that templates may have.
  static let shape = JSONShape<OwnDelivery>.fields(OwnDelivery(topic: "", payload: "", answerFilter: nil)) {
    let delivery = OwnDelivery(
      topic: $0.required("topic", .string(1...65_535)), payload: $0.required("payload", .string(0...Int.max)),
      answerFilter: $0.optional("answerFilter", .string(1...1000)))
    if !TopicTemplate.allows(delivery.topic, longest: 65_535) {
      $0.fail("topic", "is none that may be published to")
    }
    if let filter = delivery.answerFilter, !TopicTemplate.allows(filter: filter) {
      $0.fail("answerFilter", "is none that may be subscribed to")
    }
    return delivery
  }
}

/// What came on a topic of a device's own.
public struct OwnAnswer: Sendable, Equatable {
  public let topic: String
  public let text: String

  public init(topic: String, text: String) { (self.topic, self.text) = (topic, text) }
}

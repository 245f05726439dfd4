import Foundation
import MQTT
import TestSupport
import Testing

@Suite struct PublishTests {
  @Test func aMessageArrivesWithItsAcknowledgementAndProperties() async throws {
    let bench = Bench(try await .shared())
    let topic = "t/\(Bench.unique())"
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription(topic)])
    let sender = try await bench.connected("sender")
    let properties = MQTTProperties(
      correlationData: [0, 1, 255, 0], responseTopic: "answers/here", messageExpiry: 3600,
      contentType: "application/json",
      userProperties: [("traceparent", "00-ä"), ("again", "1"), ("again", "2"), ("empty", "")])
    let message = MQTTMessage(topic: topic, payload: [0, 1, 2, 255], properties: properties)
    let before = Date.now
    #expect(try await sender.session.publish(message) == .accepted)
    try await eventually("it arrives") { receiver.messages.count == 1 }
    let got = try #require(receiver.messages.first)
    #expect(got.topic == topic)
    #expect(got.payload == [0, 1, 2, 255])
    #expect(got.qos == .atLeastOnce)
    #expect(got.properties == properties)
    let readAt = try #require(got.receivedAt)
    #expect(before <= readAt && readAt <= .now)
  }

  @Test func nobodySubscribesIsAnOutcomeOfItsOwn() async throws {
    let bench = Bench(try await .shared())
    let sender = try await bench.connected("sender")
    #expect(
      try await sender.session.publish(MQTTMessage("nobody/\(Bench.unique())", "x")) == .noMatchingSubscribers
    )
  }

  @Test func withoutAConnectionPublishingFailsAtOnce() async throws {
    let bench = Bench(try await .shared())
    let sender = bench.session("sender") { $0.port = 1 }
    await #expect(throws: MQTTError.notConnected) {
      try await sender.session.publish(MQTTMessage("a", "x"))
    }
    #expect(sender.session.isConnected == false)
  }

  @Test func aBatchHasOneOutcomeForEachMessageInOrder() async throws {
    let bench = Bench(try await .shared())
    let topic = "t/\(Bench.unique())"
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription(topic)])
    let sender = try await bench.connected("sender")
    var messages = (0..<2_000).map { MQTTMessage(topic, "\($0)") }
    messages[7].topic = "wild/+/card"
    messages[8].topic = topic + "/elsewhere"
    messages[9].qos = 0
    let outcomes = await sender.session.publish(messages)
    #expect(outcomes.count == 2_000)
    #expect(outcomes[7] == .failure(.invalidTopic))
    #expect(outcomes[8] == .success(.noMatchingSubscribers))
    #expect(outcomes.filter { $0 == .success(.accepted) }.count == 1_998)
    try await eventually("all arrive") { receiver.messages.count == 1_998 }
    #expect(receiver.texts == (0..<2_000).filter { $0 != 7 && $0 != 8 }.map(String.init))
  }
}

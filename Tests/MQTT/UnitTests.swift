import Testing

@testable import MQTT

@Suite struct BackoffTests {
  @Test func ceilingsDoubleUpToTheLongest() {
    let backoff = Backoff()
    let milliseconds = (0..<10).map { backoff.ceiling(attempt: $0) / 1_000_000 }
    #expect(milliseconds == [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000])
    #expect(backoff.ceiling(attempt: .max) == 10_000_000_000)
    #expect(backoff.ceiling(attempt: -1) == 100_000_000)
  }

  @Test func delaysFillTheWholeRange() {
    let backoff = Backoff()
    #expect(backoff.delay(attempt: 2, random: 0) == 0)
    #expect(backoff.delay(attempt: 2, random: .max) == 400_000_000)
    #expect(backoff.delay(attempt: 2, random: 1 << 63) == 200_000_000)
    let delays = (0..<2_000).map { _ in backoff.delay(attempt: 2) }
    #expect(delays.allSatisfy { $0 <= 400_000_000 })
    #expect(delays.contains { $0 < 40_000_000 })
    #expect(delays.contains { $0 > 360_000_000 })
  }
}

@Suite struct TopicTests {
  @Test(arguments: ["a", "/", "a//b", "martlet/v1/ä/command", "$SYS/x"])
  func topicsThatAreValid(_ topic: String) { #expect(MQTTTopic.isValid(topic)) }

  @Test(arguments: ["", "a/+", "#", "a#", "nul\0", String(repeating: "x", count: 65_536)])
  func topicsThatAreNot(_ topic: String) { #expect(!MQTTTopic.isValid(topic)) }

  @Test(arguments: ["#", "+", "a/+/b", "a/#", "/+/#", "$share/g/a/#", "$share/g/+", "$share/g//a"])
  func filtersThatAreValid(_ filter: String) { #expect(MQTTTopic.isValidFilter(filter)) }

  @Test(arguments: ["", "a/#/b", "a+", "a/b#", "nul\0", "$share/g", "$share//a", "$share/g+/a", "$share/g/"])
  func filtersThatAreNot(_ filter: String) { #expect(!MQTTTopic.isValidFilter(filter)) }

  @Test func partsThatCannotBeSentAreFound() {
    var message = MQTTMessage(topic: "a", payload: [])
    #expect(message.fault == nil)
    message.properties.correlationData = Array(repeating: 0, count: 65_536)
    #expect(message.fault == .invalidMessage("correlation data too long"))
    message.properties = MQTTProperties(responseTopic: "a/#")
    #expect(message.fault == .invalidMessage("response topic"))
    message.properties = MQTTProperties(userProperties: [("a", "nul\0")])
    #expect(message.fault == .invalidMessage("user property"))
  }

  @Test func thePasswordIsInNoDescription() {
    let configuration = MQTTConfiguration(host: "h", clientId: "c", username: "u", password: "hush")
    var dumped = ""
    dump(configuration, to: &dumped)
    for text in ["\(configuration)", String(reflecting: configuration), "\([configuration])", dumped] {
      #expect(!text.contains("hush"))
      #expect(text.contains("mqtt://u@h:1883 as c"))
    }
  }
}

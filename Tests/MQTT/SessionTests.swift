import MQTT
import TestSupport
import Testing

@Suite struct SessionTests {
  @Test func aRetainedMessageWaitsForItsSubscriber() async throws {
    let bench = Bench(try await .shared())
    let topic = "kept/\(Bench.unique())"
    let sender = try await bench.connected("sender")
    #expect(
      try await sender.session.publish(MQTTMessage(topic, "state", retain: true)) == .noMatchingSubscribers)
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription(topic)])
    try await eventually("it is delivered") { receiver.texts == ["state"] }
    #expect(receiver.messages.first?.retain == true)
    _ = try await sender.session.publish(MQTTMessage(topic, "", retain: true))
  }

  @Test func theWillIsPublishedAfterACrashAndNotAfterADisconnect() async throws {
    let bench = Bench(try await .shared())
    let topic = "will/\(Bench.unique())"
    let watcher = try await bench.connected("watcher", subscriptions: [MQTTSubscription("\(topic)/+")])
    var will = MQTTMessage("\(topic)/crashed", "gone")
    will.properties.userProperties = [("why", "will")]
    let crashing = try await bench.connected("crashing") { $0.will = will }
    let leaving = try await bench.connected("leaving") { $0.will = MQTTMessage("\(topic)/left", "gone") }
    await leaving.session.disconnect()
    crashing.session.abort()
    try await eventually("the will") { watcher.messages.count == 1 }
    #expect(watcher.messages.first?.topic == "\(topic)/crashed")
    #expect(watcher.messages.first?.properties[user: "why"] == "will")
    // What comes after both: had the other will been published, it would be here by now.
    _ = try await watcher.session.publish(MQTTMessage("\(topic)/last", "x"))
    try await eventually("the last") { watcher.messages.last?.topic == "\(topic)/last" }
    #expect(watcher.messages.count == 2)
    #expect(leaving.states.last == .disconnected(.requested))
    #expect(crashing.states.last == .disconnected(.aborted))
  }

  @Test func aSessionCanBeStartedAgainAfterItEnded() async throws {
    let bench = Bench(try await .shared())
    let probe = try await bench.connected("again")
    probe.session.abort()
    try await eventually("dropped") { !probe.session.isConnected }
    probe.session.start()
    try await eventually("up again") { probe.session.isConnected }
    await probe.session.disconnect()
    #expect(!probe.session.isConnected)
    probe.session.start()
    try await eventually("up again") { probe.session.isConnected }
  }

  @Test func theBrokerKeepsASessionUntilItIsEnded() async throws {
    let bench = Bench(try await .shared())
    let topic = "kept/\(Bench.unique())"
    let sender = try await bench.connected("sender")
    let keeping: (inout MQTTConfiguration) -> Void = {
      $0.clientId = topic
      $0.cleanStart = false
      $0.sessionExpiry = 3600
    }
    let first = try await bench.connected("keeper", subscriptions: [MQTTSubscription(topic)], change: keeping)
    #expect(first.states == [.connected(sessionPresent: false)])
    await first.session.disconnect()
    #expect(try await sender.session.publish(MQTTMessage(topic, "meanwhile")) == .accepted)
    let second = try await bench.connected(
      "keeper", subscriptions: [MQTTSubscription(topic)], change: keeping)
    #expect(second.states == [.connected(sessionPresent: true)])
    try await eventually("what was sent meanwhile") { second.texts == ["meanwhile"] }
    await second.session.disconnect(endSession: true)
    let third = try await bench.connected("keeper", change: keeping)
    #expect(third.states == [.connected(sessionPresent: false)])
    await third.session.disconnect(endSession: true)
  }

  @Test func subscriptionsCanBeAddedAndEnded() async throws {
    let bench = Bench(try await .shared())
    let topic = "sub/\(Bench.unique())"
    let probe = try await bench.connected("sub")
    await #expect(throws: MQTTError.invalidFilter) {
      try await probe.session.subscribe(MQTTSubscription("a/#/b"))
    }
    try await probe.session.subscribe([
      MQTTSubscription("\(topic)/a"), MQTTSubscription("\(topic)/b", qos: 0),
    ])
    #expect(try await probe.session.publish(MQTTMessage("\(topic)/a", "1")) == .accepted)
    #expect(try await probe.session.publish(MQTTMessage("\(topic)/b", "2")) == .accepted)
    try await probe.session.unsubscribe("\(topic)/a")
    #expect(try await probe.session.publish(MQTTMessage("\(topic)/a", "3")) == .noMatchingSubscribers)
    try await eventually("two") { probe.messages.count == 2 }
    #expect(probe.messages.map(\.qos) == [.atLeastOnce, .atMostOnce])
  }

  @Test func disconnectingWaitsForWhatWasPublishedBefore() async throws {
    let bench = Bench(try await .shared())
    let topic = "last/\(Bench.unique())"
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription(topic)])
    let sender = try await bench.connected("sender")
    for number in 0..<1_000 { #expect(sender.session.publishDetached(MQTTMessage(topic, "\(number)"))) }
    await sender.session.disconnect()
    try await eventually("all") { receiver.messages.count == 1_000 }
    #expect(sender.session.publishDetached(MQTTMessage("not/+/valid", "")) == false)
  }

  @Test func aNameIsResolvedAndItsAddressesAreTriedInTurn() async throws {
    // "localhost" is ::1 and 127.0.0.1 here, and the broker listens only on the latter.
    let bench = Bench(try await .shared())
    let probe = try await bench.connected("named") { $0.host = "localhost" }
    #expect(probe.session.isConnected)
    let lost = bench.session("lost") { $0.host = "no-such-host.invalid" }
    try await eventually("told") { !lost.states.isEmpty }
    guard case .disconnected(.connectFailed(let why)) = lost.states[0] else {
      return #expect(Bool(false), "\(lost.states)")
    }
    #expect(why.contains("no-such-host.invalid"))
  }

  @Test func twoConnectionsWithOneIdDoNotFightWithoutPause() async throws {
    // Mosquitto 2.0.11 closes the older one without a word. Each time the younger one loses a short connection, so
    // the back-off grows.
    let bench = Bench(try await .shared())
    let first = try await bench.connected("twin") { $0.clientId = "twin" }
    let second = try await bench.connected("twin") { $0.clientId = "twin" }
    try await Task.sleep(for: .seconds(2))
    #expect(first.states.count >= 2)
    #expect(first.states.count + second.states.count < 60)
    first.session.abort()
    second.session.abort()
  }

  @Test func aWindowNarrowerThanTheBatchIsRespected() async throws {
    var options = MosquittoServer.Options()
    options.maximumInFlight = 3
    let bench = Bench(try await MosquittoServer(options))
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription("t")])
    let sender = try await bench.connected("sender")
    let outcomes = await sender.session.publish((0..<500).map { MQTTMessage("t", "\($0)") })
    #expect(outcomes.allSatisfy { $0 == .success(.accepted) })
    try await eventually("all") { receiver.messages.count == 500 }
    #expect(receiver.texts == (0..<500).map(String.init))
    bench.server.stop()
  }

  @Test func aWrongPasswordIsRefusedWithItsReasonAndNeverLogged() async throws {
    var options = MosquittoServer.Options()
    options.accounts = ["bridge": "right"]
    let bench = Bench(try await MosquittoServer(options))
    let wrong = bench.session("wrong") {
      $0.username = "bridge"
      $0.password = "hush-hush"
    }
    try await eventually("refused") { !wrong.states.isEmpty }
    guard case .disconnected(.refused(let reason)) = wrong.states[0] else {
      return #expect(Bool(false), "\(wrong.states)")
    }
    #expect([.notAuthorized, .badUserNameOrPassword].contains(reason))
    // Told once, though tried again and again.
    try await Task.sleep(for: .milliseconds(600))
    #expect(wrong.states.count == 1)
    #expect(bench.log.lines.contains { $0.contains("refuses") })
    #expect(!bench.log.lines.contains { $0.contains("hush-hush") })
    let right = try await bench.connected("right") {
      $0.username = "bridge"
      $0.password = "right"
    }
    #expect(right.session.isConnected)
    bench.server.stop()
  }
}

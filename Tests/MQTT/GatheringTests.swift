import Glibc
import TestSupport
import Testing

@testable import MQTT

@Suite struct GatheringTests {
  @Test func libmosquittosCallsAreGatheredHere() { #expect(Mosquitto.isGathered) }

  /// The program's own calls go past it, as those of all libraries but one, even on a socket that is gathered.
  @Test func nobodyElsesCallsAre() throws {
    #expect(Mosquitto.isGathered)
    var ends: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    let (here, there) = (ends[0], ends[1])
    defer {
      close(here)
      close(there)
    }
    Mosquitto.gather(here)
    #expect(write(here, "abc", 3) == 3)
    var bytes = [UInt8](repeating: 0, count: 8)
    #expect(recv(there, &bytes, 8, Int32(MSG_DONTWAIT)) == 3)
    #expect(write(there, "defg", 4) == 4)
    #expect(read(here, &bytes, 1) == 1)
    #expect(recv(here, &bytes, 8, Int32(MSG_DONTWAIT)) == 3)
  }

  @Test func whatASlowBrokerDoesNotTakeWaitsInOrder() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription("t")])
    let sender = try await bench.connected("sender")
    let sizes = [1, 3_000, 65_530, 70_000, 250_000]
    let messages = (0..<500).map { number in
      MQTTMessage(
        topic: "t", payload: [UInt8](repeating: UInt8(number % 256), count: sizes[number % sizes.count]))
    }
    server.signal(19)  // SIGSTOP
    let outcomes = Task { await sender.session.publish(messages) }
    try await Task.sleep(for: .milliseconds(300))
    server.signal(18)  // SIGCONT
    #expect(await outcomes.value.allSatisfy { $0 == .success(.accepted) })
    try await eventually("all arrive") { receiver.messages.count == messages.count }
    #expect(receiver.messages.map(\.payload) == messages.map(\.payload))
    #expect(receiver.states == [.connected(sessionPresent: false)])
    server.kill()
  }

  @Test func whatWasPublishedBeforeADisconnectArrivesThroughAFullSocket() async throws {
    let server = try await MosquittoServer()
    let bench = Bench(server)
    let receiver = try await bench.connected("receiver", subscriptions: [MQTTSubscription("t")])
    let sender = try await bench.connected("sender") { $0.will = MQTTMessage("t", "will") }
    server.signal(19)  // SIGSTOP
    let payload = [UInt8](repeating: 7, count: 200_000)
    for _ in 0..<100 { sender.session.publishDetached(MQTTMessage(topic: "t", payload: payload, qos: 0)) }
    let leaving = Task { await sender.session.disconnect(timeout: .seconds(20)) }
    try await Task.sleep(for: .milliseconds(300))
    server.signal(18)  // SIGCONT
    await leaving.value
    try await eventually("all arrive") { receiver.messages.count == 100 }
    _ = try await receiver.session.publish(MQTTMessage("t", "last"))
    try await eventually("the last") { receiver.texts.last == "last" }
    // The broker has read the disconnect: it publishes no will.
    #expect(receiver.messages.count == 101)
    server.kill()
  }
}

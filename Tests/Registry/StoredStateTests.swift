import Foundation
import RegistryDomain
import Testing
import Wire

@Suite("A state as the API shows it")
struct StoredStateTests {
  static let start = Date(timeIntervalSince1970: 1_700_000_000)

  static func state(
    _ attributes: JSONObject = [:], seen: Date? = nil, route: JSON? = nil,
    presence: StoredState.Presence? = nil
  ) -> JSON {
    StoredState(
      createdAt: start, updatedAt: start, attributes: attributes, lastSeenAt: seen, route: route,
      routeAt: seen,
      presence: presence,
      connectionEpoch: presence == nil ? 0 : 3
    ).json(broker: "mosquitto", now: start.addingTimeInterval(10))
  }

  @Test("a new device has a state that says nothing")
  func empty() {
    #expect(
      Self.state() == ["createdAt": "2023-11-14T22:13:20.000Z", "updatedAt": "2023-11-14T22:13:20.000Z"])
  }

  @Test("what runs on it has a place of its own, if it has that form")
  func software() {
    func stored(_ value: JSON) -> JSON { ["value": value, "at": "2023-11-14T22:13:20.000Z"] }
    let version: JSON = ["major": 1, "minor": 2, "revision": 3, "buildNum": 4]
    let known = Self.state([
      "applicationId": stored("app"), "applicationVersion": stored(version), "algorithms": stored([1]),
      "battery": stored(3),
    ])
    #expect(known["applicationId"] == "app")
    #expect(known["applicationVersion"] == version)
    #expect(known["algorithms"] == [1])
    #expect(known["attributes"] == ["battery": stored(3)])
    let odd = Self.state(["applicationVersion": stored("1.2.3")])
    #expect(odd["applicationVersion"] == nil)
    #expect(odd["attributes"]?["applicationVersion"]?["value"] == "1.2.3")
  }

  @Test("the last route is MQTT unless the packet named another")
  func routes() throws {
    let own = Self.state(seen: Self.start)
    #expect(
      own["lastRoute"]
        == [
          "interface": "mqtt", "interfaceData": [:],
          "mqtt": ["broker": "mosquitto", "time": "2023-11-14T22:13:20.000Z"],
        ])
    #expect(own["lastRouteInterface"] == "mqtt")
    let udp = try Route.read([
      "interface": "udp", "udp": ["address": "10.0.0.1:99", "time": "2023-11-14T22:13:20Z"],
    ])
    let gateway = Self.state(seen: Self.start, route: udp)
    #expect(gateway["lastRouteUdpAddress"] == "10.0.0.1:99")
    #expect(gateway["lastRouteUdpTime"] == "2023-11-14T22:13:20.000Z")
    #expect(gateway["lastRoute"]?["interfaceData"] == [:])
  }

  @Test("whether it is online comes with its evidence")
  func evidence() {
    let state = Self.state(presence: .init(online: false, at: Self.start, source: .presence))
    #expect(state["online"] == false)
    #expect(
      state["onlineEvidence"] == [
        "source": "presence", "at": "2023-11-14T22:13:20.000Z", "ageSeconds": .double(10),
      ])
    #expect(state["connectionEpoch"] == 3)
  }

  @Test(
    "a route that is none is refused",
    arguments: [
      ("{}", "/route/interface"), (#"{"interface":"pigeon"}"#, "/route/interface"),
      (#"{"interface":"udp","udp":{"time":"2023-11-14T22:13:20Z"}}"#, "/route/udp/address"),
      (#"{"interface":"bt_adv","btAdv":{"address":"a","type":0,"rssi":"x"}}"#, "/route/btAdv/rssi"),
      (#"{"interface":"udp","extra":1}"#, "/route/extra"),
    ])
  func badRoutes(_ text: String, _ pointer: String) throws {
    let json = try JSON(parsing: text)
    let faults = #expect(throws: JSONFaults.self) { try Route.read(json) }
    #expect(faults?.faults.map(\.pointer) == [pointer])
  }
}

import FoundationEssentials
import Testing
import Wire

@testable import BridgeDomain

@Suite struct ResendTests {
  @Test func fromTheFirstFailureOfEachKeyOn() {
    #expect(Resend.indices(keys: ["a", "b", "a"], failed: [false, false, false]) == [])
    #expect(Resend.indices(keys: ["a", "b", "a", "b"], failed: [true, false, false, false]) == [0, 2])
    #expect(Resend.indices(keys: ["a", "b", "a", "b"], failed: [false, false, true, false]) == [2])
    #expect(Resend.indices(keys: ["a", "b", "a", "b"], failed: [true, true, true, true]) == [0, 1, 2, 3])
    #expect(Resend.indices(keys: [String](), failed: []) == [])
  }
}

@Suite struct UplinkTranslationTests {
  let device = "0123456789abcdef"
  let id = UUID().text

  func translate(_ topic: String, _ payload: String, _ traceparent: String? = nil) -> UplinkTranslation {
    UplinkTranslation(topic: topic, payload: Array(payload.utf8), traceparent: traceparent)
  }

  @Test func everyTopicThatDevicesSendOn() {
    let payloads: [(DeviceTopic, String, Uplink.Kind)] = [
      (.commandStatus, #"{"id":"\#(id)","status":"SUCCESS","result":{"x":1}}"#, .status),
      (.artefactGet, #"{"sha256":"\#(String(repeating: "0a", count: 32))"}"#, .artefactRequest),
      (.reported, #"{"slots":{"wifi":{"version":1,"sha256":"ab","status":"ACCEPTED"}}}"#, .reported),
      (.state, #"{"battery":3}"#, .state), (.presence, #"{"online":true}"#, .presence),
    ]
    #expect(payloads.map(\.0) == DeviceTopic.uplinks)
    for (topic, payload, kind) in payloads {
      #expect(
        translate(topic.of(device), payload) == .accepted(kind: kind, deviceId: device, traceparent: nil))
    }
  }

  @Test func oneSlotThatCannotBeUnderstoodDoesNotTakeTheOthersWithIt() {
    let good = #"{"version":1,"sha256":"ab","status":"ACCEPTED","new":1e400}"#
    let faulty = #"{"version":1,"status":"DONE"}"#
    let reported = DeviceTopic.reported.of(device)
    #expect(
      translate(reported, #"{"slots":{"a":\#(faulty),"wifi":\#(good),"b":3},"also":1}"#)
        == .accepted(
          kind: .reported, deviceId: device, traceparent: nil,
          mended: Array(#"{"slots":{"wifi":\#(good)}}"#.utf8),
          besides:
            "a field is missing; a field must be one of IN_PROGRESS, ACCEPTED, REJECTED, FAILED; a field must be an object, is a number"
        ))
    for payload in [
      #"{"slots":{"a":\#(faulty)}}"#, #"{"slots":[]}"#, #"{"slots":{"wifi":\#(good),"wifi":\#(good)}}"#,
    ] {
      guard case .rejected = translate(reported, payload) else {
        Issue.record("\(payload)")
        continue
      }
    }
  }

  @Test func whatTheBrokerKeepsAsDesired() {
    let topic = DeviceTopic.desired.of(device)
    func translate(_ payload: String, _ isRetained: Bool) -> UplinkTranslation {
      UplinkTranslation(topic: topic, payload: Array(payload.utf8), isRetained: isRetained, traceparent: nil)
    }
    for isRetained in [false, true] {
      #expect(
        translate(#"{"revision":7,"slots":{}}"#, isRetained)
          == .observed(deviceId: device, revision: 7, traceparent: nil))
    }
    #expect(translate("", false) == .observed(deviceId: device, revision: 0, traceparent: nil), "cleared")
  }

  @Test func whatFirmwareLeavesInAPayloadIsMended() throws {
    let state = DeviceTopic.state.of(device)
    func mended(_ payload: [UInt8], _ topic: String? = nil) -> String? {
      guard
        case .accepted(_, _, _, let mended, _) = UplinkTranslation(
          topic: topic ?? state, payload: payload, traceparent: nil)
      else { return nil }
      return String(decoding: mended ?? payload, as: UTF8.self)
    }
    let plain = #"{"battery":86}"#
    #expect(mended(Array(plain.utf8) + [0]) == plain)
    #expect(mended(Array(plain.utf8) + [UInt8](repeating: 0, count: 146)) == plain)
    #expect(mended([0xEF, 0xBB, 0xBF] + Array(plain.utf8)) == plain)
    let answer = #"{"id":"\#(id)","status":"SUCCESS"}"#
    #expect(mended(Array(answer.utf8) + [0], DeviceTopic.commandStatus.of(device)) == answer)
    let texts = [
      #"{"fw":"1.2\u0000"}"#: #"{"fw":"1.2\uFFFD"}"#,
      #"{"a\u0000\u0000b":"\\u0000 \\\u0000"}"#: #"{"a\uFFFD\uFFFDb":"\\u0000 \\\uFFFD"}"#,
      #"{"\\":"\"","x":"\u0001"}"#: #"{"\\":"\"","x":"\u0001"}"#,
    ]
    for (payload, right) in texts { #expect(mended(Array(payload.utf8)) == right) }
    for payload in [
      #"{"battery":87,"temp":nan}"#, #"{"hum":-inf}"#, "", "[]", "86", "\0\0", #"{"a":1}\#("\0")x"#,
      #"{"online":true,"online":false}"#, #"{"a":"\u000"#,
    ] { #expect(mended(Array(payload.utf8)) == nil, "\(payload)") }
    #expect(mended(Array(#"{"t":"21"#.utf8) + [0xB0] + Array(#""}"#.utf8)) == nil, "Latin-1")
  }

  @Test func retainedCountsOnPresenceAlone() {
    for topic in DeviceTopic.uplinks {
      let payload = topic == .presence ? #"{"online":false}"# : "{}"
      let translation = UplinkTranslation(
        topic: topic.of(device), payload: Array(payload.utf8), isRetained: true, traceparent: nil)
      #expect(
        translation
          == (topic == .presence
            ? .accepted(kind: .retainedPresence, deviceId: device, traceparent: nil) : .ignored))
    }
  }

  @Test func topicsThatAreNot() {
    let reason = "not a topic that devices send on"
    for topic in [DeviceTopic.command, .commandReceipt, .artefactURL] {
      #expect(translate(topic.of(device), "{}") == .rejected(deviceId: nil, reason: reason))
    }
    for topic in [
      "martlet/v1/XYZ/state", "martlet/v1/\(device)/other", "martlet/v1/\(device)", "", "martlet/v1//state",
    ] {
      #expect(translate(topic, "{}") == .rejected(deviceId: nil, reason: reason))
    }
  }

  @Test(arguments: [
    "", "{", "[]", "null", #"{"id":"x","status":"SUCCESS"}"#, #"{"status":"SUCCESS"}"#,
    #"{"id":1,"status":2}"#,
    #"{"id":"0198c000-0000-7000-8000-000000000000","status":"DONE"}"#,
  ])
  func garbage(_ payload: String) {
    guard case .rejected(device, let reason) = translate(DeviceTopic.commandStatus.of(device), payload) else {
      Issue.record("taken: \(payload)")
      return
    }
    #expect(!reason.isEmpty)
  }

  @Test func reasonsHoldNothingOfThePayload() {
    let secret = "s3cr3t"
    for payload in [
      #"{"\#(secret)":1,"\#(secret)":2}"#, #"{"id":"\#(secret)","status":"\#(secret)"}"#, secret,
      #""\#(secret)"#,
      #"{"id":"\#(id)","status":"FAILED","error":{"code":{"\#(secret)":1},"\#(secret)":2}}"#,
    ] {
      guard case .rejected(_, let reason) = translate(DeviceTopic.commandStatus.of(device), payload) else {
        Issue.record("taken: \(payload)")
        continue
      }
      #expect(!reason.contains(secret), "\(reason)")
    }
  }

  @Test func tooLarge() {
    let text = String(repeating: "x", count: UplinkTranslation.maximumBytes)
    let reason = "larger than 262144 bytes"
    #expect(
      translate(DeviceTopic.state.of(device), #"{"a":"\#(text)"}"#)
        == .rejected(deviceId: device, reason: reason))
    let fits = #"{"a":"\#(text.dropLast(8))"}"#
    #expect(fits.utf8.count == UplinkTranslation.maximumBytes)
    #expect(
      translate(DeviceTopic.state.of(device), fits)
        == .accepted(kind: .state, deviceId: device, traceparent: nil))
  }

  @Test func onlyAValidTraceparentGoesOn() {
    let valid = TraceContext().traceparent
    for (given, kept) in [(valid, valid), ("00-x", nil), ("", nil)] as [(String, String?)] {
      #expect(
        translate(DeviceTopic.state.of(device), "{}", given)
          == .accepted(kind: .state, deviceId: device, traceparent: kept))
    }
  }
}

@Suite struct DownlinkPlanTests {
  let device = "0123456789abcdef"
  let now = Date(timeIntervalSince1970: 1_700_000_000)
  let id = UUID.v7()

  func command(deliverBy: Double, expiresAt: Double) -> Downlink {
    .command(
      CommandDownlink(
        id: id, type: "REBOOT", params: ["delay": 3], lane: "default",
        expiresAt: now.addingTimeInterval(expiresAt),
        deliverBy: now.addingTimeInterval(deliverBy), turn: CommandTurn(epoch: 7, number: 12)))
  }

  func plan(_ downlink: Downlink, traceparent: String? = "t") -> DownlinkPlan {
    DownlinkPlan(
      downlink, record: downlink.event(deviceId: device, traceparent: nil).payload ?? [], deviceId: device,
      traceparent: traceparent, now: now)
  }

  @Test func commandInTime() throws {
    guard case .publish(let publication) = plan(command(deliverBy: 1, expiresAt: 30.2)) else {
      Issue.record("not published")
      return
    }
    #expect(publication.topic == "martlet/v1/\(device)/command")
    #expect(!publication.retain)
    #expect(publication.traceparent == "t")
    #expect(publication.command?.correlation == Array(id.text.utf8))
    #expect(publication.command?.responseTopic == "martlet/v1/\(device)/command/status")
    #expect(publication.command?.expirySeconds == 31)
    let json = try JSON(parsing: publication.payload)
    #expect(json.object?.members.map(\.name) == ["id", "type", "params", "lane", "expiresAt"])
    #expect(json["params"] == ["delay": 3])
  }

  /// However the record was written, the device gets the same and never `deliverBy`.
  @Test func theDeviceNeverSeesDeliverBy() throws {
    guard case .command(let command) = command(deliverBy: 1, expiresAt: 2) else { return }
    let compact = try #require(Downlink.command(command).event(deviceId: device, traceparent: nil).payload)
    #expect(String(decoding: compact, as: UTF8.self).hasSuffix(#"Z"}"#))
    let members = try #require(try JSON(parsing: compact).object?.members)
    let turned = members.reversed().reduce(into: JSONObject()) { $0[$1.name] = $1.value }
    let spaced = Array(String(decoding: compact, as: UTF8.self).replacing(",", with: " , ").utf8)
    for record in [compact, JSON.object(turned).bytes, spaced, []] {
      #expect(DownlinkPlan.message(command, record) == command.message.bytes)
    }
  }

  @Test(arguments: [(0.0, 30.0), (-1, 30), (5, 0), (5, -1)])
  func commandTooLate(_ deliverBy: Double, _ expiresAt: Double) {
    #expect(
      plan(command(deliverBy: deliverBy, expiresAt: expiresAt))
        == .report(.undelivered(id: id, reason: .expired)))
  }

  @Test func expiryIsNeverZero() {
    guard case .publish(let publication) = plan(command(deliverBy: 0.001, expiresAt: 0.001)) else {
      Issue.record("not published")
      return
    }
    #expect(publication.command?.expirySeconds == 1)
  }

  @Test func desiredIsRetainedAsItIs() {
    let document = Array(#"{"revision":7,"slots":{}}"#.utf8)
    guard case .publish(let publication) = plan(.desired(revision: 7, document: document)) else {
      Issue.record("not published")
      return
    }
    #expect(publication.topic == "martlet/v1/\(device)/desired")
    #expect(publication.payload == document)
    #expect(publication.retain && publication.command == nil)
  }

  @Test func receipt() throws {
    guard case .publish(let publication) = plan(.receipt(id: id, status: .success)) else {
      Issue.record("not published")
      return
    }
    #expect(publication.topic == "martlet/v1/\(device)/command/receipt")
    #expect(try JSON(parsing: publication.payload) == ["id": .string(id.text), "status": "SUCCESS"])
    #expect(!publication.retain)
  }

  @Test func everyReport() {
    let desired = Downlink.desired(revision: 7, document: [])
    let receipt = Downlink.receipt(id: id, status: .failed)
    let command = command(deliverBy: 1, expiresAt: 1)
    for outcome in PublicationOutcome.allCases {
      #expect(DownlinkPlan.report(receipt, outcome) == nil)
      switch outcome {
      case .accepted:
        #expect(DownlinkPlan.report(command, outcome) == .sent(id: id))
        #expect(DownlinkPlan.report(desired, outcome) == nil)
      case .noSubscriber:
        #expect(DownlinkPlan.report(command, outcome) == .undelivered(id: id, reason: .noSubscriber))
        #expect(DownlinkPlan.report(desired, outcome) == nil)
      case .refused:
        #expect(DownlinkPlan.report(command, outcome) == .undelivered(id: id, reason: .refused))
        #expect(DownlinkPlan.report(desired, outcome) == nil)
      }
    }
  }
}

import Foundation
import Testing
import Wire

@Suite("Templates of devices with protocols of their own")
struct OwnProtocolTests {
  static func values(_ params: JSONObject = [:]) -> TemplateValues {
    TemplateValues(
      hardwareId: "HW:1", deviceId: "0123456789abcdef", organisationId: UUID(), params: params)
  }

  static func topic(_ template: String, _ params: JSONObject = [:]) throws -> String {
    try TopicTemplate(template).topic(values(params))
  }

  static func payload(_ template: JSON?, _ params: JSONObject = [:]) throws -> String {
    try PayloadTemplate(template).payload(values(params))
  }

  /// The pointers of what is wrong with the params.
  static func faults(_ work: () throws -> String) -> [String] {
    do {
      _ = try work()
      return []
    } catch let faults as JSONFaults { return faults.faults.map(\.pointer) } catch { return ["\(error)"] }
  }

  @Test func topics() throws {
    #expect(try Self.topic("iotee/dev/{hardware_id}/rls") == "iotee/dev/HW:1/rls")
    #expect(try Self.topic("a/{device_id}-{params.n}/b", ["n": 7]) == "a/0123456789abcdef-7/b")
    #expect(try Self.topic("x/{params.zone}/set", ["zone": "{params.zone}"]) == "x/{params.zone}/set")
    #expect(try TopicTemplate("iotee/dev/{hardware_id}/ack").filter == "iotee/dev/+/ack")
    #expect(try TopicTemplate("a/x-{device_id}/b").filter == "a/+/b")
  }

  @Test(
    "what is unsafe is no template",
    arguments: [
      "", "a/+/b", "a/#", "a/{unknown}", "a/{params.}", "a/{params.a.b}", "a/{", "a/}", "{hardware_id}/a",
      "x{params.a}/b", "martlet/v1/{device_id}/desired", "martlet", "martlet/\u{301}x", "$SYS/a",
      "$share/a/b",
      "$\u{301}SYS/a", "a/\u{0}", "a/\n", "a/\u{FFFF}", String(repeating: "a/", count: 40),
      String(repeating: "a", count: 1001),
    ])
  func unsafe(_ template: String) {
    #expect(throws: TemplateFault.self) { try TopicTemplate(template) }
  }

  @Test func whereNothingIsPublished() {
    for topic in ["", "a/+/b", "a/#", "martlet/x", "martlet", "martlet/\u{301}x", "$\u{301}SYS/a", "a/\u{0}"]
    {
      #expect(!TopicTemplate.allows(topic))
    }
    #expect(
      TopicTemplate.allows("x/{params.a}/}{/set") && TopicTemplate.allows("/a")
        && TopicTemplate.allows("martlets"))
  }

  @Test(
    "what a topic's place must not hold",
    arguments: [
      "a/#", "+", "a/b", "", "#", "\u{0}", "a\nb", "/\u{301}", "#\u{301}", "+\u{301}", .null, [], [:],
      .string(String(repeating: "a", count: 257)),
    ] as [JSON])
  func zones(_ zone: JSON) {
    #expect(Self.faults { try Self.topic("x/{params.zone}/set", ["zone": zone]) } == ["/params/zone"])
  }

  @Test func missing() {
    #expect(Self.faults { try Self.topic("x/{params.zone}/set") } == ["/params/zone"])
    #expect(Self.faults { try Self.payload("{params.a}") } == ["/params/a"])
    #expect(Self.faults { try Self.payload(["a": "{params.a}"]) } == ["/params/a"])
  }

  /// Whatever the params are: nothing is published beside the template's topic, and each place is filled once.
  @Test func anyTopicStaysWhereItIs() throws {
    let alphabet = [
      "a", "/", "+", "#", "\u{0}", "{", "}", "params.b", "$", "martlet", "\u{301}", "é", " ", ".",
    ]
    let template = try TopicTemplate("x/{params.a}-{params.b}/{params.b}/set")
    for _ in 0..<5000 {
      let pick = { (0..<Int.random(in: 0...4)).map { _ in alphabet.randomElement() ?? "" }.joined() }
      let (a, b) = (pick(), pick())
      guard let topic = try? template.topic(Self.values(["a": .string(a), "b": .string(b)])) else { continue }
      #expect(Array(topic.utf8) == Array("x/\(a)-\(b)/\(b)/set".utf8))
      #expect(topic.utf8.count { $0 == UInt8(ascii: "/") } == 3)
      #expect(!topic.utf8.contains { [0, UInt8(ascii: "+"), UInt8(ascii: "#")].contains($0) })
      #expect(!a.isEmpty && !b.isEmpty && TopicTemplate.allows(topic))
    }
  }

  @Test func payloads() throws {
    #expect(try Self.payload("1") == "1")
    #expect(try Self.payload(1) == "1")
    #expect(try Self.payload("") == "")
    #expect(try Self.payload(nil, ["a": 1]) == #"{"a":1}"#)
    #expect(try Self.payload("set {params.n} {hardware_id}", ["n": 5]) == "set 5 HW:1")
    #expect(try Self.payload("{params.word}", ["word": "go"]) == "go")
    let template: JSON = #"{"text":"{params.msg}","n":{params.n}}"#
    let said = #"He said "hi" {params.n}"# + "\n\\"
    let text = try Self.payload(template, ["msg": .string(said), "n": .decimal("1.0")])
    #expect(text.hasSuffix(#""n":1.0}"#))
    #expect(try JSON(parsing: text)["text"]?.string == said)
    #expect(try Self.payload(template, ["msg": 3, "n": .null]) == #"{"text":"3","n":null}"#)
    #expect(try Self.payload(template, ["msg": true, "n": ["a": [1]]]) == #"{"text":"true","n":{"a":[1]}}"#)
    #expect(Self.faults { try Self.payload(template, ["msg": .null, "n": 1]) } == ["/params/msg"])
    #expect(
      try Self.payload(["n": "{params.n}", "t": "{params.n}!", "k": [true, .null]], ["n": .decimal("1.0")])
        == #"{"n":1.0,"t":"1.0!","k":[true,null]}"#)
  }

  @Test func plainTextsKeepTheirForm() {
    for (template, value) in [
      ("set {params.a}", "1\nunlock"), ("set {params.a}", "1\u{85}"), (#"say "{params.a}""#, #"a" b"#),
      (#"say "{params.a}""#, #"\"#),
    ] { #expect(Self.faults { try Self.payload(.string(template), ["a": .string(value)]) } == ["/params/a"]) }
    #expect(Self.faults { try Self.payload(#"{"a":1,"{params.k}":2}"#, ["k": "a"]) } == ["/params"])
    #expect(throws: TemplateFault.self) { try PayloadTemplate(#"{"a":{param.a}}"#) }
    #expect(throws: TemplateFault.self) { try PayloadTemplate(["a": ["{nothing}"]]) }
  }

  /// Whatever a param is, what was JSON with a text in it is JSON with that text in it.
  @Test func anyTextStaysOne() throws {
    let alphabet = ["\"", "\\", "{", "}", "params.b", "\n", "\u{1}", "é", "e\u{301}", ",", ":", "\u{2028}"]
    let template = try PayloadTemplate(#"{"a":"<{params.a}>","b":{params.b},"c":["{params.b}"]}"#)
    for _ in 0..<3000 {
      let pick = { (0..<Int.random(in: 0...6)).map { _ in alphabet.randomElement() ?? "" }.joined() }
      let (a, b) = (pick(), pick())
      let json = try JSON(
        parsing: template.payload(Self.values(["a": .string(a), "b": .string(b)])))
      #expect(json == ["a": .string("<\(a)>"), "b": .string(b), "c": [.string(b)]])
    }
  }

  @Test func manyPlacesDoNotMakeABomb() {
    let long: JSON = .string(String(repeating: "a", count: 200_000))
    let places = String(repeating: "{params.a}", count: 1000)
    for template in [.string("[\"\(places)\"]"), .string(places), ["x": .string(places)]] as [JSON] {
      #expect(Self.faults { try Self.payload(template, ["a": long]) } == ["/params/a"])
      #expect(Self.faults { try Self.payload(template, ["a": "x"]) } == [])
    }
  }

  @Test func entries() throws {
    func pointers(_ entry: JSON) -> [String] {
      do {
        _ = try OwnProtocol(entry: entry)
        return []
      } catch { return error.faults.map(\.pointer) }
    }
    #expect(try OwnProtocol(entry: ["description": "x"]) == nil)
    #expect(pointers(["topic": "a", "payload": "1"]) == [])
    #expect(pointers(["payload": "1"]) == ["/payload"])
    #expect(pointers(["topic": 1, "payload": "{x}"]) == ["/topic", "/payload"])
    #expect(pointers(["topic": "a/#", "answerTopic": "a/b"]) == ["/topic", "/answerTopic"])
    #expect(pointers(["topic": "a", "answerTopic": "a/{params.x}/{device_id}"]) == ["/answerTopic"])
    #expect(pointers(["topic": "a/{params.x}", "answerTopic": "a/{device_id}"]) == ["/answerTopic"])
    #expect(pointers(["topic": "a", "answers": ["failed": "no"]]) == ["/answers"])
    let answered: JSON = ["topic": "a", "answerTopic": "a/{device_id}"]
    let words: [(JSON, [String])] = [
      (["completed": " "], ["/answers/completed"]), (["completed": 1], ["/answers/completed"]),
      (["acknowledged": "OK", "completed": ["done", "ok "]], ["/answers/completed"]),
      (["acknowledged": ["a", "b"]], []),
    ]
    for (answers, right) in words {
      var entry = answered.object ?? [:]
      entry["answers"] = answers
      #expect(pointers(.object(entry)) == right)
    }
    let standard = try #require(try OwnProtocol(entry: answered)).answers
    for text in ["done", " DONE\r\n", "Done\0"] { #expect(standard.status(of: text) == .success) }
    for text in ["", "do ne", "done!", "ok"] { #expect(standard.status(of: text) == nil) }
    #expect(standard.status(of: "ack") == .acknowledged && standard.status(of: "error") == .failed)
    var faults: [JSONFault] = []
    #expect(AnswerWords(standard.json, &faults) == standard && faults.isEmpty)
  }

  @Test func aDownlinkGoesNowhereElse() throws {
    func command(_ topic: String, _ filter: String?) -> Downlink {
      .command(
        CommandDownlink(
          id: .v7(), type: "lock", params: [:], lane: "default", expiresAt: .now.wholeMilliseconds,
          deliverBy: .now.wholeMilliseconds, turn: CommandTurn(epoch: 1, number: 2),
          own: OwnDelivery(topic: topic, payload: "1\"", answerFilter: filter)))
    }
    let good = command("iotee/dev/a/rls", "iotee/dev/+/ack")
    let event = good.event(deviceId: "x", traceparent: nil)
    #expect(try Downlink(type: event.type, payload: event.payload ?? []) == good)
    for (topic, filter) in [
      ("martlet/v1/a/desired", nil), ("a/#", nil), ("$SYS/x", nil), ("a", "#"), ("a", "+/a"),
      ("a", "martlet/+"),
      ("a", "a/#"),
    ] as [(String, String?)] {
      let event = command(topic, filter).event(deviceId: "x", traceparent: nil)
      #expect(throws: JSONFaults.self, "\(topic)") {
        try Downlink(type: event.type, payload: event.payload ?? [])
      }
    }
  }
}

import CommandsDomain
import FoundationEssentials
import Testing
import Wire

/// An event of partition 0 or 1 of one topic.
func liveEvent(
  _ partition: Int, _ offset: Int64, id: String? = nil, type: String = "martlet.command.sent",
  device: String = "d",
  size: Int = 2
) -> LiveEvent {
  LiveEvent(
    topic: 0, partition: partition, offset: offset, deviceId: device,
    .init(
      id: id ?? "\(partition)-\(offset)", source: "/martlet/commands", type: type, time: "t", traceparent: nil
    ),
    data: Array("\"\(String(repeating: "x", count: size))\"".utf8))
}

extension EventPosition {
  static func at(_ offsets: Int64...) -> EventPosition { EventPosition([offsets]) }
}

/// What a reader was told: the data's ids in order, and its last id.
struct Told {
  var events: [String] = []
  var ids: [EventPosition] = []
  var resets = 0
  var cluster: UInt32 = 7
  var topics = 1

  mutating func hear(_ bytes: [UInt8]) throws {
    for block in String(decoding: bytes, as: UTF8.self).components(separatedBy: "\n\n") {
      var type: Substring?
      for line in block.split(separator: "\n") {
        if line.hasPrefix("id: ") {
          ids.append(
            try #require(EventPosition(text: String(line.dropFirst(4)), cluster: cluster, topics: topics)))
        } else if line.hasPrefix("event: ") {
          type = line.dropFirst(7)
        } else if line.hasPrefix("data: "), type != "reset" {
          events.append(try #require(try JSON(parsing: Array(line.dropFirst(6).utf8))["id"]?.string))
        }
      }
      if type == "reset" { resets += 1 }
    }
  }
}

@Suite("Live events: positions, feeds, readers")
struct LiveValueTests {
  @Test("a position that nobody gave out is beyond all there are, whatever it adds up to")
  func beyond() throws {
    let forged = EventPosition([[Int64.max, Int64.max, 5]])
    let text = forged.text(cluster: 7)
    let read = try #require(EventPosition(text: text, cluster: 7, topics: 1))
    let now = EventPosition([[10, 20, 30]])
    #expect(!read.isWithin(now) && now.isWithin(read) == false)
    #expect(now.distance(to: read) == .max && read.distance(to: now) == 25)
  }

  @Test("a position is its text, whatever the offsets")
  func text() {
    for offsets in [
      [[0]], [[1, 127, 128], [], [300]], [[Int64.max, 0]], [Array(repeating: Int64(1) << 40, count: 40)],
    ]
      as [[[Int64]]]
    {
      let position = EventPosition(offsets)
      let text = position.text(cluster: 7)
      #expect(EventPosition(text: text, cluster: 7, topics: offsets.count) == position)
      #expect(EventPosition(text: text, cluster: 8, topics: offsets.count) == nil)
      #expect(EventPosition(text: text, cluster: 7, topics: offsets.count + 1) == nil)
      #expect(
        text.utf8.allSatisfy { ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || "0123456789-_".utf8.contains($0) })
    }
  }

  @Test(
    "what is no id is none",
    arguments: ["", "x", "AQAAAAc", "====", "null", "é", String(repeating: "A", count: 70_000)])
  func noText(_ text: String) { #expect(EventPosition(text: text, cluster: 7, topics: 1) == nil) }

  @Test("any change of an id's characters is another position or none, never a crash")
  func mutations() {
    let text = EventPosition.at(1, 200, 30_000).text(cluster: 7)
    for index in text.utf8.indices {
      for character in "AZaz09-_=" {
        var other = text
        other.replaceSubrange(index...index, with: String(character))
        guard other != text else { continue }
        #expect(EventPosition(text: other, cluster: 7, topics: 1) != .at(1, 200, 30_000))
      }
      _ = EventPosition(text: String(text[..<index]), cluster: 7, topics: 1)
    }
  }

  @Test("partitions that are added begin at their beginning")
  func growth() {
    var position = EventPosition.at(5)
    #expect(position.distance(to: .at(7, 3)) == 5)
    #expect(!EventPosition.at(5, 0).isWithin(.at(9)))
    position.advance(to: .at(0, 0))
    #expect(position == .at(5, 0))
  }

  @Test("an owner is what the outermost object says, nothing that tenants write")
  func owner() {
    let (own, other) = (UUID.v7(), UUID.v7())
    func find(_ text: String) -> UUID? { Array(text.utf8).withUnsafeBytes { EventOwner.find(in: $0) } }
    #expect(find(#"{"a":{"organisationId":"\#(other.text)"},"organisationId":"\#(own.text)"}"#) == own)
    #expect(
      find(#"{"a":["organisationId",{"organisationId":"\#(other.text)"}],"organisationId":"\#(own.text)"}"#)
        == own)
    #expect(find(#"{"a":"\",\"organisationId\":\"\#(other.text)\"","organisationId":"\#(own.text)"}"#) == own)
    #expect(find(#"{"a":"organisationId","organisationId":"\#(own.text)"}"#) == own)
    #expect(find(#"{"a":"x\\","organisationId":"\#(own.text)"}"#) == own)
    for text in [
      "", "{", "{\"", "{\"organisationId", "{\"organisationId\":", "{\"organisationId\":\"1\"}", "[]",
      "{\"a\":\"\\",
    ] {
      #expect(find(text) == nil)
    }
  }

  @Test("filters take exact types, families, devices")
  func filters() throws {
    let event = liveEvent(0, 0, type: "martlet.command.sent", device: "a")
    func takes(_ kinds: [String]?, _ devices: Set<String>? = nil) throws -> Bool {
      LiveFilter(devices: devices, kinds: try kinds?.map { try #require(LiveFilter.Kind($0)) }).takes(event)
    }
    #expect(try takes(nil))
    #expect(try takes(["martlet.command.*"]) && takes(["martlet.config.*", "martlet.command.sent"]))
    #expect(try !takes(["martlet.command.sen"]) && !takes(["martlet.config.*"]))
    #expect(try takes(nil, ["a", "b"]) && !takes(nil, ["b"]))
    for text in [
      "", "*", "martlet.*", "command.sent", "martlet.command.\n", "martlet.registry.device.created",
    ] {
      #expect(LiveFilter.Kind(text) == nil)
    }
  }

  @Test("whoever resumes at any event, with any filter, gets the rest once")
  func resume() throws {
    var (feed, now) = (LiveFeed(from: .at(10, 20)), EventPosition.at(10, 20))
    var first = LiveReader(LiveFilter(), at: now, feed)
    var order: [String] = []
    for round in 0..<40 {
      let partition = round % 3 == 0 ? 1 : 0
      let event = liveEvent(
        partition, now[0, partition], type: round % 2 == 0 ? "martlet.command.a" : "martlet.command.b")
      feed.append(event)
      now.pass(0, partition, event.offset)
      order.append("\(partition)-\(event.offset)")
    }
    var told = Told()
    try told.hear(first.take(feed, now: now, cluster: 7, beats: false, atMost: .max))
    #expect(told.events == order)
    for (index, position) in told.ids.enumerated() {
      var again = LiveReader(LiveFilter(), at: now, feed)
      try resume(&again, position, feed)
      var rest = Told()
      try rest.hear(again.take(feed, now: now, cluster: 7, beats: false))
      #expect(rest.events == Array(order[(index + 1)...]) && rest.ids.last ?? position == now)
      var filtered = LiveReader(LiveFilter(kinds: [.type("martlet.command.b")]), at: now, feed)
      try resume(&filtered, position, feed)
      var some = Told()
      try some.hear(filtered.take(feed, now: now, cluster: 7, beats: false))
      #expect(
        some.events == order.enumerated().filter { $0.offset > index && $0.offset % 2 == 1 }.map(\.element))
    }
  }

  private func resume(_ reader: inout LiveReader, _ position: EventPosition, _ feed: LiveFeed) throws {
    let isResumed = reader.resume(from: position, in: feed)
    try #require(isResumed)
  }

  @Test("other replicas see partitions interleaved otherwise: nothing is missed or repeated")
  func interleaving() throws {
    let start = EventPosition.at(0, 0)
    let (a, b) = ((0..<8).map { liveEvent(0, $0) }, (0..<8).map { liveEvent(1, $0) })
    var one = LiveFeed(from: start)
    for event in a + b { one.append(event) }
    var two = LiveFeed(from: start)
    for (left, right) in zip(b, a) {
      two.append(left)
      two.append(right)
    }
    let now = EventPosition.at(8, 8)
    var reader = LiveReader(LiveFilter(), at: start, LiveFeed(from: start))
    var told = Told()
    try told.hear(reader.take(one, now: now, cluster: 7, beats: false, atMost: 1500))
    #expect(!told.events.isEmpty && told.events.count < 16)
    var other = LiveReader(LiveFilter(), at: now, two)
    try resume(&other, try #require(told.ids.last), two)
    try told.hear(other.take(two, now: now, cluster: 7, beats: false))
    #expect(told.events.count == 16 && Set(told.events).count == 16)
  }

  @Test("a feed keeps what fits; who is behind is known, and who comes from before its floor is refused")
  func bounds() {
    var feed = LiveFeed(from: .at(0, 0), mostEvents: 10, mostBytes: 1 << 20)
    let slow = LiveReader(LiveFilter(), at: .at(0, 0), feed)
    for offset in 0..<10 { feed.append(liveEvent(0, Int64(offset))) }
    #expect(!slow.isBehind(feed))
    feed.append(liveEvent(0, 10))
    #expect(slow.isBehind(feed) && feed.end == 11 && feed.events(from: 1).count == 10)
    var late = LiveReader(LiveFilter(), at: .at(11, 0), feed)
    let (early, right) = (late.resume(from: .at(0, 0), in: feed), late.resume(from: .at(1, 0), in: feed))
    #expect(!early && right)
    feed.append(liveEvent(0, 11, size: 2 << 20))
    #expect(feed.events(from: feed.first).count == 1)
  }

  @Test("what is published twice is told once, also across a resume")
  func twice() throws {
    var feed = LiveFeed(from: .at(0, 0))
    let isNew = [feed.append(liveEvent(0, 0, id: "x")), feed.append(liveEvent(0, 1, id: "x"))]
    #expect(isNew == [true, false])
    // Made up: 5 was told before, and 9 is the same once more; so is 12, which came while the rest was read.
    feed = LiveFeed(from: .at(10, 0))
    var reader = LiveReader(LiveFilter(), at: .at(10, 0), feed)
    reader.wait(from: .at(8, 0), until: .at(10, 0))
    feed.append(liveEvent(0, 12, id: "x"))
    feed.append(liveEvent(0, 13, id: "z"))
    let early = reader.take(feed, now: .at(14, 0), cluster: 7, beats: false)
    for (offset, id) in [(5, "x"), (8, "y")] {
      reader.madeUp(liveEvent(0, Int64(offset), id: id), atMost: 1 << 20)
    }
    #expect(early.isEmpty && !reader.isFull)
    reader.madeUpAll(
      ["x": 5, "y": 8].reduce(into: [:]) { $0[liveEvent(0, 0, id: $1.key).key] = $1.value }, feed)
    var told = Told()
    try told.hear(reader.take(feed, now: .at(14, 0), cluster: 7, beats: false))
    #expect(told.events == ["y", "z"] && told.ids.last == .at(14, 0))
  }

  @Test(
    "more than is kept at a time is told in pieces, each event once, and nothing of what comes after before the last"
  )
  func pieces() throws {
    var feed = LiveFeed(from: .at(10, 20))
    var reader = LiveReader(LiveFilter(), at: .at(10, 20), feed)
    reader.wait(from: .at(0, 0), until: .at(10, 20))
    feed.append(liveEvent(0, 10))
    var told = Told()
    var passes = 0
    while reader.missing != nil, passes < 100 {
      passes += 1
      // A pass goes back a little, and its partitions come as they come.
      for offset in Int64(0)..<20 {
        if offset < 10 { reader.madeUp(liveEvent(0, offset, size: 100), atMost: 500) }
        reader.madeUp(liveEvent(1, offset, size: 100), atMost: 500)
      }
      if !reader.isFull { reader.madeUpAll([:], feed) }
      repeat {
        try told.hear(reader.take(feed, now: .at(11, 20), cluster: 7, beats: false, atMost: 300))
      } while reader.isFull
    }
    for _ in 0..<20 { try told.hear(reader.take(feed, now: .at(11, 20), cluster: 7, beats: false)) }
    let expected = (0..<10).map { "0-\($0)" } + (0..<20).map { "1-\($0)" } + ["0-10"]
    #expect(
      told.resets == 0 && told.events.count == 31 && Set(told.events) == Set(expected), "\(told.events)")
    #expect(told.events.last == "0-10" && told.ids.last == .at(11, 20) && passes > 3)
  }

  @Test("who has lost something is told once, and goes on from now")
  func lost() throws {
    var feed = LiveFeed(from: .at(10, 0))
    var reader = LiveReader(LiveFilter(), at: .at(10, 0), feed)
    reader.lost(at: .at(10, 0), feed)
    feed.append(liveEvent(0, 10))
    var told = Told()
    try told.hear(reader.take(feed, now: .at(11, 0), cluster: 7, beats: true))
    #expect(told.resets == 1 && told.ids.first == .at(10, 0) && told.events == ["0-10"])
    try told.hear(reader.take(feed, now: .at(11, 4), cluster: 7, beats: true))
    #expect(told.resets == 1 && told.ids.last == .at(11, 4))
  }
}

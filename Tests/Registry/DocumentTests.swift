import Foundation
import Testing
import Wire

@testable import RegistryDomain

@Suite("Changes of documents")
struct DocumentTests {
  /// The table of RFC 7396, appendix A.
  @Test(
    "JSON Merge Patch as in RFC 7396",
    arguments: [
      (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
      (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
      (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
      (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#),
      (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#), (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#),
      (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#), (#"{"a":"foo"}"#, "null", "null"),
      (#"{"a":"foo"}"#, #""bar""#, #""bar""#), (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
      (#"[1,2]"#, #"{"a":"b","c":null}"#, #"{"a":"b"}"#),
      ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
  func mergePatch(_ original: String, _ patch: String, _ result: String) throws {
    #expect(try JSON(parsing: original).merged(with: JSON(parsing: patch)) == JSON(parsing: result))
  }

  @Test("a PUT replaces whole members")
  func replacing() throws {
    let document = try JSON(parsing: #"{"a":{"b":1},"c":2,"d":3}"#)
    #expect(
      try document.replacing(with: JSON(parsing: #"{"a":{"x":1},"c":null}"#))
        == JSON(parsing: #"{"a":{"x":1},"d":3}"#))
  }

  @Test(
    "slugs of names",
    arguments: [
      ("Acme Ltd", "acme-ltd"), ("  Ümlaut & Söhne GmbH ", "umlaut-sohne-gmbh"), ("Zu\u{308}rich", "zurich"),
      ("Z\u{FC}rich", "zurich"), ("A", nil), ("东京", nil),
      ("---", nil), ("İstanbul", "istanbul"), ("Cafe\u{301} 7", "cafe-7"), ("Caf\u{E9} 7", "cafe-7"),
      ("\u{1EC6}\u{C5}\u{141}\u{D8} \u{DF}x", "ealo-x"), ("Ⅷ x", nil),
      (String(repeating: "a", count: 200), String(repeating: "a", count: 40)),
      ("x" + String(repeating: "-y", count: 40), "x" + String(repeating: "-y", count: 19)),
    ] as [(String, String?)])
  func slugs(_ name: String, _ slug: String?) {
    #expect(Organisation.slug(from: name) == slug)
    #expect(slug.map(Identifier.isSlug) ?? true)
  }

  static let device = Device(
    id: .v7(), createdAt: .now, updatedAt: .now, mcuId: "m", boardId: .v7(), soc: "s", organisationId: .v7(),
    deviceId: "0123456789abcdef", metadata: ["a": "1", "b": "2"], name: "n", rev: 4)

  @Test(
    "a device's PUT",
    arguments: [
      (#"{}"#, ["a": "1", "b": "2"], "n"), (#"{"name":null}"#, ["a": "1", "b": "2"], nil),
      (#"{"metadata":{"operation":"patch","value":{"a":null,"c":"3"}}}"#, ["b": "2", "c": "3"], "n"),
      (#"{"metadata":{"operation":"replace","value":{"c":"3"}},"name":"x"}"#, ["c": "3"], "x"),
    ] as [(String, Metadata, String?)])
  func put(_ body: String, _ metadata: Metadata, _ name: String?) throws {
    let changed = try Self.device.changed(by: JSON(parsing: body), at: .now)
    #expect(changed.metadata == metadata)
    #expect(changed.name == name)
    #expect(changed.rev == (body == "{}" ? 4 : 5), "what changes nothing is no change")
  }

  @Test("two spellings of é are two fields, and the one that is meant is changed")
  func spellings() throws {
    var device = Self.device
    device.metadata = ["caf\u{e9}": "1", "cafe\u{301}": "2"]
    #expect(device.metadata.count == 2)
    let removed = try device.patched(by: JSON(parsing: #"{"metadata":{"cafe\u0301":null}}"#), at: .now)
    #expect(removed.metadata == ["caf\u{e9}": "1"])
    let set = try device.changed(
      by: JSON(parsing: #"{"metadata":{"operation":"patch","value":{"caf\u00e9":"3"}}}"#), at: .now)
    #expect(set.metadata == ["caf\u{e9}": "3", "cafe\u{301}": "2"])
    let field = MetadataField(name: "caf\u{e9}", required: true, unique: false)
    #expect(Metadata(dictionaryLiteral: ("cafe\u{301}", "x")).faults(against: [field]).count == 1)
    #expect(Metadata(dictionaryLiteral: ("a", "\u{e9}")) != ["a": "e\u{301}"])
  }

  @Test("a device may be sent back as it is; what makes it stays, and what it needs cannot be removed")
  func patch() throws {
    #expect(try Self.device.patched(by: Self.device.json, at: Self.device.updatedAt).json == Self.device.json)
    let body = try JSON(
      parsing: #"{"deviceId":"x","organisationId":null,"mcuId":null,"metadata":{"a":null},"name":"y"}"#)
    let faults = #expect(throws: JSONFaults.self) { try Self.device.patched(by: body, at: .now) }
    #expect(faults?.faults.map(\.pointer) == ["/organisationId", "/deviceId", "/mcuId"])
  }
}

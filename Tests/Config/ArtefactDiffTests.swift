import ConfigDomain
import FoundationEssentials
import TestSupport
import Testing
import Wire

@Suite struct ArtefactDiffTests {
  private func changes(_ before: JSON, _ after: JSON) -> [String] {
    ArtefactDiff(from: before, to: after).changes.map {
      [$0.op.rawValue, $0.pointer, $0.before?.text, $0.after?.text].compactMap(\.self).joined(separator: " ")
    }
  }

  @Test func eachChangeHasItsPlace() {
    #expect(changes(["a": 1], ["a": 1]).isEmpty)
    #expect(changes(1, 2) == ["replace  1 2"])
    #expect(changes(["a": 1, "b": 2], ["b": 3, "c": 4]) == ["remove /a 1", "replace /b 2 3", "add /c 4"])
    #expect(changes(["a": [1, 2, 3]], ["a": [1]]) == ["remove /a/2 3", "remove /a/1 2"])
    #expect(changes([1], [2, 3]) == ["replace /0 1 2", "add /1 3"])
    #expect(changes(["a/b": ["~": 1]], ["a/b": ["~": .null]]) == ["replace /a~1b/~0 1 null"])
    #expect(changes(["a": []], ["a": [:]]) == ["replace /a [] {}"])
    #expect(changes(["": 1], ["": 2]) == ["replace / 1 2"])
    #expect(changes(["e\u{301}": 1], ["é": 1]) == ["remove /e\u{301} 1", "add /é 1"], "by code points")
  }

  /// Whatever two values there are, the changes lead from one to the other, each finding what it says was there.
  @Test func theyLeadFromOneToTheOther() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      let (before, after) = (Self.value(3, &random), Self.value(3, &random))
      var current = before
      for change in ArtefactDiff(from: before, to: after).changes {
        current = try #require(Self.apply(change, to: current), "\(before.text) → \(after.text)")
      }
      #expect(current == after)
    }
  }

  @Test func twoVersionsAreCompared() async throws {
    let world = try await World()
    let path = "/api/v1/config-artefacts"
    let first = try await world.artefact(["ssid": "x", "channel": 1])
    let second = try await world.artefact(["ssid": "y", "channel": 1])
    let mesh = try await world.artefact(slot: "mesh")
    let other = try await world.artefact(board: world.otherBoard)
    func diff(_ a: JSON, _ b: JSON, key: String? = nil) async throws -> Answer {
      let target = "\(path)/\(a["id"]?.string ?? "")/diff?against=\(b["id"]?.string ?? "")"
      return try await world.ask(.get, target, key: key ?? world.keys[.viewer])
    }
    let answer = try await diff(second, first)
    #expect(answer.json["from"]?["version"] == 1)
    #expect(answer.json["to"]?["sha256"] == second["sha256"])
    #expect(answer.json["changes"] == [["op": "replace", "pointer": "/ssid", "before": "x", "after": "y"]])
    #expect(try await diff(first, first).json["changes"] == [])
    #expect(try await diff(first, mesh).status == 422)
    #expect(try await diff(first, other).status == 422)
    #expect(try await diff(first, ["id": .string(UUID().text)]).status == 404)
    #expect(try await diff(first, ["id": "x"]).status == 400)
    #expect(try await diff(["id": .string(UUID().text)], first).status == 404)
    #expect(try await diff(second, first, key: world.theirKey).status == 404)
    #expect(try await diff(second, first, key: "wrong").status == 401)
    let location = "\(path)/\(first["id"]?.string ?? "")/diff"
    #expect(try await world.ask(.get, location).status == 400)
    #expect(try await world.ask(.get, location + "?against=\(first["id"]?.string ?? "")&x=1").status == 400)
  }

  private static func value(_ depth: Int, _ random: inout SystemRandomNumberGenerator) -> JSON {
    switch Int.random(in: 0..<(depth > 0 ? 6 : 3), using: &random) {
    case 0: return .int(Int64.random(in: 0..<3, using: &random))
    case 1: return .null
    case 2: return .string(["", "x"].randomElement(using: &random) ?? "")
    case 3, 4:
      var object = JSONObject()
      for name in ["a", "b", "~/"] where Bool.random(using: &random) {
        object[name] = value(depth - 1, &random)
      }
      return .object(object)
    default: return .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(depth - 1, &random) })
    }
  }

  /// RFC 6902, with what stood there checked; nil where it does not fit.
  private static func apply(_ change: ArtefactDiff.Change, to value: JSON) -> JSON? {
    let steps = change.pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map {
      String($0).replacing("~1", with: "/").replacing("~0", with: "~")
    }
    return apply(change, steps[...], value)
  }

  private static func apply(_ change: ArtefactDiff.Change, _ steps: ArraySlice<String>, _ value: JSON)
    -> JSON?
  {
    guard let step = steps.first else { return value == change.before ? change.after : nil }
    let (rest, isLast) = (steps.dropFirst(), steps.count == 1)
    switch value {
    case .object(var object):
      if isLast {
        guard object[step] == change.before else { return nil }
        object[step] = change.after
        return .object(object)
      }
      guard let inner = object[step].flatMap({ apply(change, rest, $0) }) else { return nil }
      object[step] = inner
      return .object(object)
    case .array(var elements):
      guard let index = Int(step), index <= elements.count else { return nil }
      if isLast, change.op == .add, let after = change.after {
        elements.insert(after, at: index)
        return .array(elements)
      }
      guard index < elements.count else { return nil }
      if isLast {
        guard elements[index] == change.before else { return nil }
        if let after = change.after { elements[index] = after } else { elements.remove(at: index) }
        return .array(elements)
      }
      guard let inner = apply(change, rest, elements[index]) else { return nil }
      elements[index] = inner
      return .array(elements)
    default: return nil
    }
  }
}

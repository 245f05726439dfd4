import Foundation
import JSONSchema
import Testing
import Wire

/// The groups of the official suite that lie beside the project (`shared/data/json-schema`), as they are.
@Suite("JSON Schema: the official suite")
struct OfficialSuiteTests {
  static let files: [URL] = {
    var folder = URL(filePath: #filePath)
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      let suite = folder.appending(path: "shared/data/json-schema/draft2020-12")
      guard
        let found = try? FileManager.default.contentsOfDirectory(at: suite, includingPropertiesForKeys: nil)
      else { continue }
      return found.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }
    }
    return []
  }()

  @Test(
    "each value of each group is judged as the suite says",
    .enabled(if: !files.isEmpty, "shared/data/json-schema is not beside the project: nothing to read"),
    arguments: files)
  func group(_ file: URL) throws {
    // U+0000 is refused by the parser already: another control character stands for it.
    let text = try String(contentsOf: file, encoding: .utf8).replacing(#"\u0000"#, with: #"\u0001"#)
    let groups = try #require(try JSON(parsing: text).array)
    #expect(!groups.isEmpty)
    for group in groups {
      let name = "\(file.lastPathComponent): \(group["description"]?.string ?? "")"
      let schema: JSONSchema
      do { schema = try JSONSchema(Self.bundled(try #require(group["schema"]))) } catch {
        Issue.record("\(name): refused: \(error)")
        continue
      }
      for test in try #require(group["tests"]?.array) {
        let faults = schema.validate(try #require(test["data"]))
        #expect(
          faults.isEmpty == test["valid"]?.bool, "\(name): \(test["description"]?.string ?? ""): \(faults)")
      }
    }
  }

  /// Some groups of `dynamicRef` refer to two documents of a server beside the suite. Here nothing leaves the schema, so they
  /// are put into it.
  private static func bundled(_ schema: JSON) throws -> JSON {
    guard case .object(var object) = schema,
      schema.text.contains("tree.json") || schema.text.contains("extendible-dynamic-ref.json")
    else { return schema }
    var definitions = object["$defs"]?.object ?? JSONObject()
    definitions["tree"] = try JSON(
      parsing: ##"""
        {"$id":"http://localhost:1234/draft2020-12/tree.json","$dynamicAnchor":"node","type":"object",
         "properties":{"data":true,"children":{"type":"array","items":{"$dynamicRef":"#node"}}}}
        """##)
    definitions["extendible"] = try JSON(
      parsing: ##"""
        {"$id":"http://localhost:1234/draft2020-12/extendible-dynamic-ref.json","type":"object",
         "properties":{"elements":{"type":"array","items":{"$dynamicRef":"#elements"}}},"required":["elements"],
         "additionalProperties":false,"$defs":{"elements":{"$dynamicAnchor":"elements"}}}
        """##)
    object["$defs"] = .object(definitions)
    return .object(object)
  }
}

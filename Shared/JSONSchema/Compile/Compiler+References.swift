import Wire

/// A `$ref` or `$dynamicRef` whose target is not known yet.
struct PendingReference {
  let node: Int
  /// Which of the node's rules it is.
  let rule: Int
  let resource: Int
  let keyword: String
  let text: String
}

extension Compiler {
  mutating func referencing(_ subject: Subject, _ rules: inout [Rule]) {
    for keyword in ["$ref", "$dynamicRef"] {
      guard let text = text(subject, keyword) else { continue }
      references += 1
      guard references <= limits.references else {
        if references == limits.references + 1 {
          fail(subject, keyword, "is one reference too many: at most \(limits.references)")
        }
        return
      }
      pending.append(
        PendingReference(
          node: subject.node, rule: rules.count, resource: subject.resource, keyword: keyword, text: text))
      rules.append(Rule(keyword: keyword, test: .reference(subject.node)))
    }
  }

  /// Each target may bring references of its own: the built-in meta-schema, a subschema under an unknown keyword.
  mutating func resolveReferences() {
    var dynamic: [(PendingReference, ExactText, Int)] = []
    while let reference = pending.popLast() {
      do throws(JSONFault) {
        let (target, anchor) = try target(of: reference)
        nodes[reference.node].rules[reference.rule].test = .reference(target)
        if reference.keyword == "$dynamicRef", let anchor { dynamic.append((reference, anchor, target)) }
      } catch {
        fail(places.child(nodes[reference.node].place, reference.keyword), error.message)
      }
    }
    for (reference, anchor, target) in dynamic {
      var others: [Int: Int] = [:]
      for (index, resource) in resources.enumerated() { others[index] = resource.dynamicAnchors[anchor] }
      nodes[reference.node].rules[reference.rule].test = .dynamicReference(target, others)
    }
  }

  /// The node that a reference names, and the `$dynamicAnchor` by which it does, if it is one.
  private mutating func target(of reference: PendingReference) throws(JSONFault) -> (Int, ExactText?) {
    let uri = URIReference(reference.text).resolved(against: resources[reference.resource].base)
    guard let fragment = uri.decodedFragment else {
      throw JSONFault(pointer: "", message: "has a broken percent-encoding")
    }
    guard let resource = resourceOfURI[ExactText(uri.withoutFragment)] ?? builtIn(uri.withoutFragment) else {
      throw JSONFault(
        pointer: "",
        message:
          "leaves the schema: only what stands in it can be referred to, and draft 2020-12's meta-schema")
    }
    if fragment.isEmpty {
      return (subschema(resources[resource].root, at: resources[resource].place, in: resource), nil)
    }
    if fragment.utf8.first == UInt8(ascii: "/") { return (try node(at: fragment, in: resource), nil) }
    let anchor = ExactText(fragment)
    guard let node = resources[resource].anchors[anchor] else {
      throw JSONFault(pointer: "", message: "names an anchor that is not there: \(fragment.clipped)")
    }
    return (node, resources[resource].dynamicAnchors[anchor] == node ? anchor : nil)
  }

  /// The subschema at a pointer; what stands under a keyword that nobody knows becomes one by being referred to.
  private mutating func node(at pointer: String, in start: Int) throws(JSONFault) -> Int {
    var (json, place, resource) = (resources[start].root, resources[start].place, start)
    for step in pointer.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      let name = JSONPointer.unescape(String(step))
      let next: JSON? =
        switch json {
        case .object(let object): object.members.first { $0.name.isExactly(name) }?.value
        case .array(let elements): Int(name).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
        default: nil
        }
      guard let next else {
        throw JSONFault(pointer: "", message: "points to what is not there: #\(pointer.clipped)")
      }
      json = next
      place = places.child(place, name)
      if let node = nodeAtPlace[place] { resource = nodes[node].resource }
    }
    guard json.object != nil || json.bool != nil else {
      throw JSONFault(pointer: "", message: "points to what is no schema: #\(pointer.clipped)")
    }
    return subschema(json, at: place, in: resource)
  }

  /// A part of the meta-schema, compiled when it is first referred to.
  private mutating func builtIn(_ uri: String) -> Int? {
    guard let json = MetaSchema.document(uri) else { return nil }
    return document(json, name: uri + "#", uri: uri)
  }
}

import Wire

/// Makes nodes of a schema's subschemas, in one walk; references are resolved when all names are known.
struct Compiler {
  /// A document or part of one with a URI of its own.
  struct Resource {
    let base: URIReference
    let root: JSON
    let place: Int
    var anchors: [ExactText: Int] = [:]
    var dynamicAnchors: [ExactText: Int] = [:]
  }

  /// One subschema while it is compiled.
  struct Subject {
    let object: JSONObject
    let place: Int
    let node: Int
    let resource: Int

    subscript(_ keyword: String) -> JSON? { object.members.first { $0.name.isExactly(keyword) }?.value }
  }

  let limits: JSONSchemaLimits
  var nodes: [Node] = []
  var places = Places()
  var resources: [Resource] = []
  var resourceOfURI: [ExactText: Int] = [:]
  var nodeAtPlace: [Int: Int] = [:]
  var pending: [PendingReference] = []
  var references = 0
  var patterns: [ExactText: Pattern] = [:]
  var patternSize = 0
  private(set) var faults: [JSONFault] = []
  private var faultBytes = 0

  init(limits: JSONSchemaLimits) { self.limits = limits }

  mutating func compile(_ json: JSON) throws(JSONFaults) {
    guard json.fits(depth: limits.schemaDepth) else {
      throw JSONFaults([JSONFault(pointer: "", message: "is nested deeper than \(limits.schemaDepth) levels")]
      )
    }
    guard json.bytes.count <= limits.schemaBytes else {
      throw JSONFaults([JSONFault(pointer: "", message: "is larger than \(limits.schemaBytes) bytes")])
    }
    _ = document(json, name: "", uri: "")
    resolveReferences()
    if faults.isEmpty { refuseCycles() }
    if !faults.isEmpty { throw JSONFaults(faults) }
  }

  /// - Returns: its resource.
  mutating func document(_ json: JSON, name: String, uri: String) -> Int {
    let place = places.root(name)
    resources.append(Resource(base: URIReference(uri), root: json, place: place))
    let resource = resources.count - 1
    resourceOfURI[ExactText(uri)] = resource
    _ = subschema(json, at: place, in: resource)
    // A document whose `$id` is that URI has become a resource of its own.
    return resourceOfURI[ExactText(uri)] ?? resource
  }

  /// The node of the subschema at a place.
  mutating func subschema(_ json: JSON, at place: Int, in resource: Int) -> Int {
    if let known = nodeAtPlace[place] { return known }
    let node = nodes.count
    if node == limits.subschemas { fail(place, "is one subschema too many: at most \(limits.subschemas)") }
    nodes.append(Node(place: place, resource: resource))
    nodeAtPlace[place] = node
    guard node < limits.subschemas else { return node }
    switch json {
    case .bool(let fits): nodes[node].isNever = !fits
    case .object(let object):
      var subject = Subject(object: object, place: place, node: node, resource: resource)
      let own = identify(subject)
      subject = Subject(object: object, place: place, node: node, resource: own)
      nodes[node].resource = own
      let rules = rules(of: subject)
      nodes[node].rules = rules
      nodes[node].needsMarks = rules.contains(where: \.needsMarks)
    case .array where places.name(place) == "items":
      fail(place, "must be one schema: a list of schemas by position is prefixItems since draft 2020-12")
    default: fail(place, "must be a JSON Schema: an object, true or false; is \(json.kind)")
    }
    return node
  }

  mutating func fail(_ place: Int, _ message: String) {
    guard faults.count < limits.faults, faultBytes < 65_536 else { return }
    let pointer = places.pointer(place)
    faultBytes += pointer.utf8.count + message.utf8.count
    faults.append(JSONFault(pointer: pointer, message: message))
  }

  /// Notes a fault of a keyword.
  mutating func fail(_ subject: Subject, _ keyword: String, _ message: String) {
    fail(places.child(subject.place, keyword), message)
  }
}

extension JSON {
  /// Whether arrays and objects are nested no deeper.
  fileprivate func fits(depth: Int) -> Bool {
    switch self {
    case .array(let elements): depth > 0 && elements.allSatisfy { $0.fits(depth: depth - 1) }
    case .object(let object): depth > 0 && object.members.allSatisfy { $0.value.fits(depth: depth - 1) }
    default: true
    }
  }
}

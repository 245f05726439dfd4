import Wire

/// One look at one value. It counts its steps, so that it ends whatever the schema says, and remembers where it is.
struct Evaluation {
  private enum Step {
    case member(String)
    case element(Int)
  }

  let nodes: [Node]
  let places: Places
  private let limits: JSONSchemaLimits
  private var stepsLeft: Int
  private var path: [Step] = []
  /// The resources that have been entered, the outermost first.
  private(set) var scope: [Int] = []
  private var depth = 0
  private var faults: [JSONSchemaFault] = []
  private var faultBytes = 0
  /// How many faults are wanted; then the look ends.
  private var wanted: Int
  /// Only whether it fits is wanted.
  private var isQuiet = false
  private var halt: JSONSchemaFault.Kind?

  init(of schema: JSONSchema) {
    (nodes, places, limits) = (schema.nodes, schema.places, schema.limits)
    (stepsLeft, wanted) = (schema.limits.steps, schema.limits.faults)
  }

  mutating func run(_ value: JSON) -> [JSONSchemaFault] {
    var none: Marks?
    _ = check(0, value, &none)
    guard let halt else { return faults }
    let message =
      halt == .tooDeep
      ? "takes the schema's references deeper than \(limits.evaluationDepth) levels"
      : "takes more work to check against the schema than is allowed (\(limits.steps) steps)"
    return [JSONSchemaFault(kind: halt, pointer: "", message: message, keywordLocation: "")]
  }

  /// Whether a value fits a node; notes its faults unless it is quiet, and what was looked at if the caller asks.
  mutating func check(_ id: Int, _ value: JSON, _ marks: inout Marks?) -> Bool {
    guard spend(1) else { return false }
    let node = nodes[id]
    if node.isNever { return fail(node.place, nil, "is not allowed here") }
    if node.rules.isEmpty { return true }
    guard depth < limits.evaluationDepth else {
      halt = .tooDeep
      return false
    }
    depth += 1
    let isEntering = scope.last != node.resource
    if isEntering { scope.append(node.resource) }
    defer {
      depth -= 1
      if isEntering { scope.removeLast() }
    }
    var own: Marks? = marks != nil || node.needsMarks ? Marks(count: value.count) : nil
    var fits = true
    for rule in node.rules {
      guard spend(1) else { return false }
      // What does not fit has not been looked at: every member of it would be told as unknown.
      if !fits, rule.needsMarks { break }
      if holds(rule, of: node, value, &own) { continue }
      fits = false
      if isDone { return false }
    }
    if fits, let own, marks != nil, spend(own.weight) { marks?.formUnion(own) }
    return fits
  }

  /// Nothing more is to be found out.
  var isDone: Bool { halt != nil || isQuiet || faults.count >= wanted }

  /// Takes steps from what one validation may cost.
  /// - Returns: whether there were as many.
  mutating func spend(_ steps: Int) -> Bool {
    stepsLeft -= steps
    if stepsLeft < 0, halt == nil { halt = .workExceeded }
    return halt == nil
  }

  /// The same for a member of the value.
  mutating func member<T>(_ name: String, _ body: (inout Evaluation) -> T) -> T {
    path.append(.member(name))
    defer { path.removeLast() }
    return body(&self)
  }

  /// The same for an element of the value.
  mutating func element<T>(_ index: Int, _ body: (inout Evaluation) -> T) -> T {
    path.append(.element(index))
    defer { path.removeLast() }
    return body(&self)
  }

  /// Notes a fault.
  /// - Returns: false, for the keyword does not hold.
  mutating func fail(_ place: Int, _ keyword: String?, _ message: @autoclosure () -> String) -> Bool {
    guard !isDone else { return false }
    let pointer = pointer
    let location = places.pointer(place) + (keyword.map { "/" + $0 } ?? "")
    // Names may be long, and are paid for by those who use them.
    let size = pointer.utf8.count + location.utf8.count
    faultBytes += size
    guard spend(8 + size / 32) else { return false }
    faults.append(
      JSONSchemaFault(kind: .violation, pointer: pointer, message: message(), keywordLocation: location))
    if faultBytes > 262_144 { wanted = faults.count }
    return false
  }

  private var pointer: String {
    path.map { step in
      switch step {
      case .member(let name): "/" + JSONPointer.escape(name)
      case .element(let index): "/\(index)"
      }
    }.joined()
  }

  /// Whether it fits, and no more: for `not`, `if`, `contains`.
  mutating func quietly(_ id: Int, _ value: JSON, _ marks: inout Marks?) -> Bool {
    let before = isQuiet
    isQuiet = true
    defer { isQuiet = before }
    return check(id, value, &marks)
  }

  /// The first reason why it does not fit, for one alternative of several; nil if none is wanted. It looks a second time, since
  /// words cost more than looking, and nearly all that is looked at fits somewhere.
  mutating func reason(_ id: Int, _ value: JSON) -> String? {
    guard !isDone else { return nil }
    let (count, before) = (faults.count, wanted)
    wanted = count + 1
    var none: Marks?
    _ = check(id, value, &none)
    wanted = before
    guard faults.count > count else { return nil }
    let fault = faults[count]
    faults.removeSubrange(count...)
    let inside = fault.pointer.dropFirst(pointer.utf8.count)
    return (inside.isEmpty ? "" : String(inside).clipped + " ") + fault.message.clipped
  }
}

extension JSON {
  /// Elements or members; 0 of what has none.
  var count: Int {
    switch self {
    case .array(let elements): elements.count
    case .object(let object): object.members.count
    default: 0
    }
  }
}

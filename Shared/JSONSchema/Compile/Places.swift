import Wire

/// The places in the schema's documents that matter, as a tree: a pointer is put together only for a fault. Whole pointers
/// for each subschema would take the square of a schema's size.
struct Places: Sendable {
  private struct Key: Hashable {
    let parent: Int
    let step: ExactText
  }

  private var parents: [Int] = []
  private var steps: [String] = []
  private var children: [Key: Int] = [:]

  /// A new document's root; `name` is put before its pointers.
  mutating func root(_ name: String) -> Int { add(-1, name) }

  /// The place one step below another.
  mutating func child(_ parent: Int, _ step: String) -> Int {
    let key = Key(parent: parent, step: ExactText(step))
    if let known = children[key] { return known }
    let place = add(parent, step)
    children[key] = place
    return place
  }

  private mutating func add(_ parent: Int, _ step: String) -> Int {
    parents.append(parent)
    steps.append(step)
    return steps.count - 1
  }

  /// The last step of a place.
  func name(_ place: Int) -> String { steps[place] }

  /// JSON Pointer of a place; in a document that is built in, after its URI and `#`.
  func pointer(_ place: Int) -> String {
    var path: [String] = []
    var place = place
    while parents[place] >= 0 {
      path.append("/" + JSONPointer.escape(steps[place]))
      place = parents[place]
    }
    return steps[place] + path.reversed().joined()
  }
}

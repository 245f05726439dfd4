/// The templates of a router, shared beginnings once; nodes are indices into one array, so that it is a plain value.
struct RouteTrie: Sendable {
  /// The verbs of the templates that fit a path for which another verb was looked for.
  struct Seen {
    var methods: [HTTPMethod] = []
  }

  private struct Node: Sendable {
    var literals: [String: Int] = [:]
    var parameter: Int?
    var routes: [HTTPMethod: Int] = [:]
  }

  private var nodes = [Node()]

  /// False when there is a route with this verb and path already.
  mutating func insert(_ method: HTTPMethod, _ segments: [PathTemplate.Segment], route: Int) -> Bool {
    var place = 0
    for segment in segments { place = child(of: place, segment) }
    return nodes[place].routes.updateValue(route, forKey: method) == nil
  }

  private mutating func child(of place: Int, _ segment: PathTemplate.Segment) -> Int {
    let known: Int? =
      switch segment {
      case .literal(let text): nodes[place].literals[text]
      case .parameter: nodes[place].parameter
      }
    if let known { return known }
    nodes.append(Node())
    switch segment {
    case .literal(let text): nodes[place].literals[text] = nodes.count - 1
    case .parameter: nodes[place].parameter = nodes.count - 1
    }
    return nodes.count - 1
  }

  func find(_ method: HTTPMethod, _ path: [String], _ seen: inout Seen) -> Int? {
    find(method, path[...], from: 0, &seen)
  }

  /// Tries the literal first and comes back to the parameter when that leads nowhere, or only to other verbs. But what a
  /// literal names to its end (`artefacts/upload`) is no parameter (`artefacts/{id}`) for other verbs.
  private func find(_ method: HTTPMethod, _ path: ArraySlice<String>, from place: Int, _ seen: inout Seen)
    -> Int?
  {
    guard let segment = path.first else {
      if let route = nodes[place].routes[method] { return route }
      seen.methods.append(contentsOf: nodes[place].routes.keys)
      return nil
    }
    let rest = path.dropFirst()
    if let next = nodes[place].literals[segment] {
      if let route = find(method, rest, from: next, &seen) { return route }
      if rest.isEmpty, !nodes[next].routes.isEmpty { return nil }
    }
    guard let next = nodes[place].parameter, !segment.isEmpty else { return nil }
    return find(method, rest, from: next, &seen)
  }
}

import Wire

extension Compiler {
  /// Refuses subschemas that come back to themselves without having gone to a member or element in between: looking at a
  /// value would never end. (Through `$dynamicRef` it is only known while looking, and bounded there.)
  mutating func refuseCycles() {
    enum Visit { case fresh, under, done }
    var visits = [Visit](repeating: .fresh, count: nodes.count)
    for start in nodes.indices where visits[start] == .fresh {
      var stack: [(node: Int, edges: [(Int, String)], next: Int)] = [(start, inPlace(start), 0)]
      visits[start] = .under
      while let top = stack.last {
        guard top.next < top.edges.count else {
          visits[top.node] = .done
          stack.removeLast()
          continue
        }
        stack[stack.count - 1].next += 1
        let (target, keyword) = top.edges[top.next]
        switch visits[target] {
        case .done: continue
        case .fresh:
          visits[target] = .under
          stack.append((target, inPlace(target), 0))
        case .under:
          fail(
            places.child(nodes[top.node].place, keyword),
            "comes back to itself without going to a member or element: it would never end")
          return
        }
      }
    }
  }

  /// The subschemas that are applied to the same value.
  private func inPlace(_ node: Int) -> [(Int, String)] {
    nodes[node].rules.flatMap { rule in
      let targets: [Int] =
        switch rule.test {
        case .reference(let target): [target]
        case .all(let nodes), .any(let nodes), .exactlyOne(let nodes): nodes
        case .not(let target): [target]
        case .condition(let condition, let then, let otherwise):
          [condition] + [then, otherwise].compactMap { $0 }
        case .dependentSchemas(let entries): entries.map(\.1)
        default: []
        }
      return targets.map { ($0, rule.keyword) }
    }
  }
}

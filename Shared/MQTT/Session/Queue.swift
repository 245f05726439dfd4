/// First in, first out; taking is as cheap as adding.
struct Queue<Element> {
  private var elements: [Element?] = []
  private var head = 0

  var isEmpty: Bool { head == elements.count }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func popFirst() -> Element? {
    guard head < elements.count else { return nil }
    defer {
      head += 1
      if head == elements.count {
        elements.removeAll(keepingCapacity: elements.count <= 1024)
        head = 0
      } else if head > 4096 {
        elements.removeFirst(head)
        head = 0
      }
    }
    return elements[head].take()
  }
}

/// The part of a request's target after `?`, decoded: ordered names and values, the same name allowed more than once.
public struct HTTPQuery: Sendable, Equatable {
  /// One name and its value; `?flag` has the value "".
  public struct Item: Sendable, Equatable {
    /// The decoded name.
    public var name: String
    /// The decoded value.
    public var value: String

    /// An item.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// All of them, in order.
  public var items: [Item]

  /// A query of these items.
  public init(_ items: [Item] = []) { self.items = items }

  /// The first value under the name, compared with regard to case.
  public subscript(name: String) -> String? { items.first { $0.name == name }?.value }

  /// Every value under the name, in order.
  public func values(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
}

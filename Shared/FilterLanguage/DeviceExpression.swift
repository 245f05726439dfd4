import FoundationEssentials

/// Which devices are meant: a filter in RSQL (docs/filters.md), read and checked.
public struct DeviceExpression: Sendable {
  /// A part of it.
  public indirect enum Node: Sendable {
    /// All of these hold; never empty.
    case all([Node])
    /// One of these holds; never empty.
    case any([Node])
    case comparison(Comparison)
  }

  /// What is asked of one field. A device that has no such field fits none of them but `exists(false)`.
  public enum Test: Sendable {
    /// `==` and `=in=`: it is one of these.
    case isOne(of: [Operand])
    /// `!=` and `=out=`: it is there and none of these.
    case isNone(of: [Operand])
    /// `=lt=` and its kin.
    case order(Order, Operand)
    case exists(Bool)
  }

  public enum Order: String, Sendable, CaseIterable {
    case less = "=lt="
    case lessOrEqual = "=le="
    case greater = "=gt="
    case greaterOrEqual = "=ge="
  }

  /// One field and what is asked of it.
  public struct Comparison: Sendable {
    public let field: DeviceField
    public let test: Test

    public init(_ field: DeviceField, _ test: Test) { (self.field, self.test) = (field, test) }
  }

  /// Where a filter is used, which decides on its fields.
  public enum Use: Sendable {
    case anywhere
    /// The query of a group, whose members must not come and go with what devices say.
    case groupQuery
  }

  public let root: Node

  public init(_ root: Node) { self.root = root }

  /// Reads a filter, in time linear in its length.
  /// - Throws: the first fault, with its place.
  public init(parsing text: String, for use: Use = .anywhere) throws(FilterFault) {
    var parser = try FilterParser(text, use)
    root = try parser.expression()
  }

  /// Whether it asks only for what is registered, and not for what devices say or for groups.
  public var usesOnlyRegistryFields: Bool { comparisons.allSatisfy(\.field.isOfRegistry) }

  /// Its comparisons in their order.
  public var comparisons: [Comparison] {
    func all(_ node: Node) -> [Comparison] {
      switch node {
      case .all(let nodes), .any(let nodes): nodes.flatMap(all)
      case .comparison(let comparison): [comparison]
      }
    }
    return all(root)
  }
}

/// Why a filter cannot be read.
public struct FilterFault: Error, Sendable, Equatable, CustomStringConvertible {
  /// Where: the number of a character (a code point), the first being 1.
  public let column: Int
  /// What is wrong, or what was expected.
  public let message: String

  /// In words: `column 5: expected a value`.
  public var description: String { "column \(column): \(message)" }
}

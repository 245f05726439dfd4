import FoundationEssentials

/// One page of a list in the order of its record ids, that is, of creation.
struct Keyset: Sendable {
  /// The last id of the page before.
  var after: UUID?
  var limit: Int
}

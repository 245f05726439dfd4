/// The filters of answers, chosen so that no two take the same topic: the broker would deliver what is on it twice, and an answer
/// has no id by which that could be told.
public enum AnswerFilters {
  /// More would be somebody's mistake, or worse.
  public static let most = 500

  /// Those of the wanted that may join those that there are.
  public static func additions(_ wanted: [String], to known: [String]) -> [String] {
    var all = known
    for filter in wanted where all.count < most && !all.contains(where: { overlap($0, filter) }) {
      all.append(filter)
    }
    return Array(all.dropFirst(known.count))
  }

  /// Whether one of these takes all that the filter does.
  public static func cover(_ filter: String, by known: [String]) -> Bool {
    known.contains(filter) || known.contains { covers(levels($0), levels(filter)) }
  }

  /// Whether there is a topic that both take.
  static func overlap(_ a: String, _ b: String) -> Bool {
    let (a, b) = (levels(a), levels(b))
    return a.count == b.count && zip(a, b).allSatisfy { $0 == $1 || $0 == any || $1 == any }
  }

  private static func covers(_ wide: [[UInt8]], _ narrow: [[UInt8]]) -> Bool {
    wide.count == narrow.count && zip(wide, narrow).allSatisfy { $0 == $1 || $0 == any }
  }

  private static let any = Array("+".utf8)

  /// By bytes: text is not compared by what it looks like.
  private static func levels(_ filter: String) -> [[UInt8]] {
    filter.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map(Array.init)
  }
}

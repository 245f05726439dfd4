/// How near the broker is to dropping what it has acknowledged.
///
/// The broker bounds each session by itself, and tells only what it stores in all: so this errs on the early side.
public struct BrokerStore: Sendable, Equatable {
  /// What there is to say.
  public enum Notice: Sendable, Equatable {
    /// More than half of the bound is used.
    case filling
    /// It is well below again.
    case relieved
  }

  /// The broker's topic for it: payload bytes of all stored messages, waiting or retained.
  public static let topic = "$SYS/broker/store/messages/bytes"

  private let bound: Int
  private var isFilling = false

  /// - Parameter bound: the broker's `max_queued_bytes`.
  public init(bound: Int) { self.bound = bound }

  /// Reads what the broker says; nil if that is no number.
  public static func bytes(_ payload: [UInt8]) -> Int? { Int(String(decoding: payload, as: UTF8.self)) }

  /// - Parameter bytes: what it stores now.
  /// - Returns: what to say, once for each crossing of half the bound; it is over only below two fifths.
  public mutating func stores(_ bytes: Int) -> Notice? {
    if !isFilling, bytes > bound / 2 {
      isFilling = true
      return .filling
    }
    if isFilling, bytes < bound / 5 * 2 {
      isFilling = false
      return .relieved
    }
    return nil
  }
}

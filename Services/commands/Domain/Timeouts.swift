import FoundationEssentials
import Wire

/// How long a command may stay in each open status, in seconds.
public struct Timeouts: Sendable, Equatable {
  /// From its creation until the broker has it.
  public var deliver: Int
  /// From then until the device says that it has it.
  public var acknowledge: Int
  /// From then until the device's answer.
  public var complete: Int

  public init(deliver: Int, acknowledge: Int, complete: Int) {
    (self.deliver, self.acknowledge, self.complete) = (deliver, acknowledge, complete)
  }

  /// Those of a command of which nobody says otherwise.
  public static let standard = Timeouts(deliver: 30, acknowledge: 30, complete: 30)

  /// These, but for what a document `{deliverSeconds?, acknowledgeSeconds?, completeSeconds?}` says, within bounds.
  public func replaced(by document: JSON?) -> Timeouts {
    func seconds(_ name: String, _ fallback: Int) -> Int {
      document?[name]?.whole.map {
        Int(min(max($0, Int64(Self.range.lowerBound)), Int64(Self.range.upperBound)))
      } ?? fallback
    }
    return Timeouts(
      deliver: seconds("deliverSeconds", deliver), acknowledge: seconds("acknowledgeSeconds", acknowledge),
      complete: seconds("completeSeconds", complete))
  }

  /// 1 s to 30 days (SPEC, section 4).
  public static let range = 1...(30 * 86_400)

  /// The deadline of a command that has been in that status since `since`; nil when it is final.
  public func deadline(_ status: CommandStatus, since: Date) -> Date? {
    switch status {
    case .pending: since.addingTimeInterval(Double(deliver))
    case .sent: since.addingTimeInterval(Double(acknowledge))
    case .acknowledged: since.addingTimeInterval(Double(complete))
    case .success, .failed, .timeout: nil
    }
  }
}

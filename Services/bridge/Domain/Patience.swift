import Wire

/// How long what would go alone may wait for what probably follows.
public enum Patience {
  /// For the answer to a command that the broker has just taken: long for a device beside the broker, and nothing to those who
  /// read `SENT` of one that is further away.
  public static let forAnswer: Duration = .milliseconds(2)

  /// After a message of a device: one that says ACKNOWLEDGED often says SUCCESS in the same breath.
  public static func after(_ payload: [UInt8]) -> Duration {
    CompactStatus.read(payload)?.status == .acknowledged ? .microseconds(600) : .zero
  }
}

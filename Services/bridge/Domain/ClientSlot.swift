import FoundationEssentials

/// One MQTT client id that the bridge's replicas share out among themselves.
///
/// The broker keeps an uplink session for each: a slot that nobody holds may have messages waiting in it.
public struct ClientSlot: Sendable, Equatable {
  /// Its number, from 1; the client id is made of it.
  public let number: Int
  /// Who holds it; nil when its session was ended in order, so that nothing can wait in it.
  public let holder: Holder?
  /// Until when that is certain.
  public let leaseUntil: Date
  /// Whether its holder is about to end the session.
  public let isLeaving: Bool

  public init(number: Int, holder: Holder?, leaseUntil: Date, isLeaving: Bool = false) {
    (self.number, self.holder, self.leaseUntil, self.isLeaving) = (number, holder, leaseUntil, isLeaving)
  }

  /// A replica, and which of its lives.
  public struct Holder: Sendable, Equatable {
    /// The replica's name, which it keeps over restarts.
    public let replica: String
    /// New in each process.
    public let process: UUID

    public init(replica: String, process: UUID) { (self.replica, self.process) = (replica, process) }
  }
}

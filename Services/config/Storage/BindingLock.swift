import ConfigDomain
import FoundationEssentials
import Postgres

/// An advisory lock of the transaction, by organisation, taken before any row: who changes a binding shares it, who applies a
/// plan has it alone, so that what the plan was found to do is what it does.
///
/// From then on nobody waits longer than `patience` for a lock, this one or a row's: whoever waits holds one of the pool's
/// connections, and those of one organisation must not hold all.
enum BindingLock {
  /// What a statement selects first is done before it waits.
  private static let patience = "set_config('lock_timeout', '5s', true)"

  static func share(_ organisation: UUID) -> PostgresQuery {
    "SELECT \(unescaped: patience), pg_advisory_xact_lock_shared(hashtextextended('config.bindings' || \(organisation.text), 0))"
  }

  /// The one binding of a target and slot, taken after the locks of devices and before any binding's row.
  static func take(_ target: Target, slot: String, in organisation: UUID) -> PostgresQuery {
    let name = "config.binding\(organisation.text)\(target.type.rawValue)\(target.id.text)\(slot)"
    return "SELECT pg_advisory_xact_lock(hashtextextended(\(name), 0))"
  }

  static func take(_ organisation: UUID) -> PostgresQuery {
    "SELECT \(unescaped: patience), pg_advisory_xact_lock(hashtextextended('config.bindings' || \(organisation.text), 0))"
  }
}

import ConfigDomain
import FoundationEssentials
import Postgres

/// An advisory lock of the transaction, by organisation, taken before any row: who changes a binding shares it, who applies a
/// plan has it alone, so that what the plan was found to do is what it does.
enum BindingLock {
  static func share(_ organisation: UUID) -> PostgresQuery {
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('config.bindings' || \(organisation.text), 0))"
  }

  /// The one binding of a target and slot, taken after the locks of devices and before any binding's row.
  static func take(_ target: Target, slot: String, in organisation: UUID) -> PostgresQuery {
    let name = "config.binding\(organisation.text)\(target.type.rawValue)\(target.id.text)\(slot)"
    return "SELECT pg_advisory_xact_lock(hashtextextended(\(name), 0))"
  }

  static func take(_ organisation: UUID) -> PostgresQuery {
    "SELECT pg_advisory_xact_lock(hashtextextended('config.bindings' || \(organisation.text), 0))"
  }
}

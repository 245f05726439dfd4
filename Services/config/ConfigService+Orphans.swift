import ConfigDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

// Bindings of targets that are no more. The registry refuses to delete what it knows to be bound, except devices; but a binding
// may be made in the moment in which its target goes.
extension ConfigService {
  /// A place in the order of bindings.
  struct OrphanScan: Sendable {
    fileprivate var after: UUID?

    init() {}
  }

  /// Looks at a page of bindings and removes those whose target the registry has deleted: by its word, never because it is not
  /// in the copy.
  /// - Parameter scan: where to look; begins again behind the last.
  /// - Returns: how many were removed.
  /// - Throws: what kept one of them from being removed, when the others are.
  func removeOrphans(_ scan: inout OrphanScan, limit: Int) async throws -> Int {
    let page = try await bindings.orphans(after: scan.after, limit: limit)
    scan.after = page.last
    return try await remove(page.orphans)
  }

  /// The same at once for targets that have just gone.
  func removeBindings(of targets: [UUID]) async throws {
    _ = try await remove(try await bindings.orphans(of: targets))
  }

  private func remove(_ orphans: [UUID]) async throws -> Int {
    var (count, failure): (Int, (any Error)?) = (0, nil)
    for id in orphans {
      let author = Author(name: "registry", traceparent: TraceContext().traceparent)
      do {
        try await unbind(id, if: .none, in: nil, by: author)
        count += 1
      } catch let problem as Problem where problem.status == 404 {
      } catch let error as PostgresError { failure = error }
    }
    if let failure { throw failure }
    return count
  }
}

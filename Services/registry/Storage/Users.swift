import FoundationEssentials
import Postgres
import Runtime
import Wire

/// Some names, for a message: the first few, and that there are more.
struct Names {
  /// So many are shown; ask for one more, so that it is known whether there are more.
  static let shown = 3

  /// `the components a, b, c and more`; nil if there are none.
  let text: String?

  init(_ noun: String, _ names: [String]) {
    text =
      names.isEmpty
      ? nil
      : "the \(noun)\(names.count == 1 ? "" : "s") " + names.prefix(Self.shown).joined(separator: ", ")
        + (names.count > Self.shown ? " and more" : "")
  }
}

/// The devices that refer to a board or network.
struct DeviceUsers: Sendable {
  let database: any Querying
  /// Of `device`, in SQL.
  let column: String

  /// Who they are: the organisation's own (nil: all) by their deviceId, the others only that there are some.
  func names(_ id: UUID, seenBy organisation: UUID?) async throws -> String? {
    let limit = Int64(Names.shown + 1)
    let names = try await database.query(
      """
      SELECT device_id FROM device WHERE \(unescaped: column) = \(id)
        AND (\(organisation)::uuid IS NULL OR organisation_id = \(organisation)) ORDER BY id LIMIT \(limit)
      """
    ).decode(String.self)
    if let text = Names("device", names).text { return text }
    guard let organisation else { return nil }
    return try await areOthers(id, than: organisation) ? "devices of other organisations" : nil
  }

  /// - Throws: 409 while devices of other organisations use what is to be theirs no longer.
  func refuseHiding(_ id: UUID, of organisation: UUID, noun: String) async throws {
    if try await areOthers(id, than: organisation) {
      throw Problem.taken("/public", "Devices of other organisations use this \(noun).")
    }
  }

  /// Asked as two ranges, which an index finds.
  private func areOthers(_ id: UUID, than organisation: UUID) async throws -> Bool {
    try await database.query(
      """
      SELECT EXISTS (SELECT FROM device WHERE \(unescaped: column) = \(id) AND organisation_id < \(organisation))
        OR EXISTS (SELECT FROM device WHERE \(unescaped: column) = \(id) AND organisation_id > \(organisation))
      """
    ).first?.decode(Bool.self) ?? false
  }
}

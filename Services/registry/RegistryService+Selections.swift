import FilterLanguage
import FoundationEssentials
import Postgres
import Runtime
import Wire

// Filters of other services, which have not what filters ask for: answered in pages, each a transaction, so that a filter
// which finds the whole fleet holds up nobody and is never in memory.
extension RegistryService {
  /// So many devices are a page: some 80 KiB.
  private static let devicesOfPage = 1000

  /// Notes what is asked for, in the transaction that moves the offset.
  func select(
    _ requests: [(request: SelectionRequest, traceparent: String?)], on connection: PostgresConnection
  ) async throws {
    guard !requests.isEmpty else { return }
    try await connection.enqueue([SelectionTable.insert(requests)])
  }

  /// Gives one selection its next page. A device that changes meanwhile is judged as it is when its page is read.
  /// - Returns: false if there is nothing to answer.
  func answerSelection() async throws -> Bool {
    do {
      return try await database.withTransaction { connection in
        let table = SelectionTable(database: connection)
        guard let selection = try await table.next() else { return false }
        let answer: SelectedDevices
        do { answer = try await page(of: selection, table, connection) } catch let problem as Problem {
          throw Unanswerable(selection: selection, reason: problem.detail)
        }
        try await outbox.tell([answer.event(traceparent: selection.traceparent)], on: connection)
        return true
      }
    } catch let refused as Unanswerable {
      // Its transaction may be broken.
      try await database.withTransaction { connection in
        let selection = refused.selection
        guard try await SelectionTable(database: connection).end(selection) else { return }
        let answer = SelectedDevices(
          id: selection.request.id, page: selection.page, devices: [], isLast: true, fault: refused.reason)
        try await outbox.tell([answer.event(traceparent: selection.traceparent)], on: connection)
      }
      return true
    }
  }

  private struct Unanswerable: Error {
    let selection: SelectionTable.Selection
    let reason: String
  }

  private func page(
    of selection: SelectionTable.Selection, _ table: SelectionTable, _ connection: PostgresConnection
  ) async throws -> SelectedDevices {
    var filter = DeviceFilter(organisation: selection.request.organisationId)
    do throws(FilterFault) { filter.require(try DeviceExpression(parsing: selection.request.filter)) } catch {
      throw Problem.badRequest("The filter cannot be read, \(error)")
    }
    var wanted = PageRequest(limit: Self.devicesOfPage, after: selection.after)
    // Nobody asks how many there are.
    wanted.total = 0
    let page = try await filter.page(wanted, on: connection)
    if let last = page.next {
      try await table.advance(selection, after: last)
    } else {
      _ = try await table.end(selection)
    }
    return SelectedDevices(
      id: selection.request.id, page: selection.page,
      devices: page.items.map { .init(id: $0.id, deviceId: $0.deviceId) }, isLast: page.next == nil)
  }
}

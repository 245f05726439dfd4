import ConfigDomain
import Testing
import Wire

@Suite struct ConvergenceTests {
  typealias Cell = (
    delivered: Bool, report: (ReportedSlot.Status, version: Bool, hash: Bool)?, SlotState.Status,
    SlotState.Reason?
  )

  /// Every cell: delivered or not × no report, or a report of each status on the desired version or not, with the
  /// desired hash or not.
  static let table: [Cell] = [
    (false, nil, .pending, .notDelivered),
    (true, nil, .pending, .noReport),

    (false, (.inProgress, false, false), .pending, .notDelivered),
    (false, (.inProgress, false, true), .pending, .notDelivered),
    (false, (.accepted, false, false), .pending, .notDelivered),
    (false, (.accepted, false, true), .pending, .notDelivered),
    (false, (.rejected, false, false), .pending, .notDelivered),
    (false, (.rejected, false, true), .pending, .notDelivered),
    (false, (.failed, false, false), .pending, .notDelivered),
    (false, (.failed, false, true), .pending, .notDelivered),
    (true, (.inProgress, false, false), .pending, .superseded),
    (true, (.inProgress, false, true), .pending, .superseded),
    (true, (.accepted, false, false), .pending, .superseded),
    (true, (.accepted, false, true), .pending, .superseded),
    (true, (.rejected, false, false), .pending, .superseded),
    (true, (.rejected, false, true), .pending, .superseded),
    (true, (.failed, false, false), .pending, .superseded),
    (true, (.failed, false, true), .pending, .superseded),

    (false, (.inProgress, true, false), .inProgress, nil),
    (false, (.inProgress, true, true), .inProgress, nil),
    (false, (.accepted, true, false), .failed, .hashMismatch),
    (false, (.accepted, true, true), .accepted, nil),
    (false, (.rejected, true, false), .rejected, .rejected),
    (false, (.rejected, true, true), .rejected, .rejected),
    (false, (.failed, true, false), .failed, .failed),
    (false, (.failed, true, true), .failed, .failed),
    (true, (.inProgress, true, false), .inProgress, nil),
    (true, (.inProgress, true, true), .inProgress, nil),
    (true, (.accepted, true, false), .failed, .hashMismatch),
    (true, (.accepted, true, true), .accepted, nil),
    (true, (.rejected, true, false), .rejected, .rejected),
    (true, (.rejected, true, true), .rejected, .rejected),
    (true, (.failed, true, false), .failed, .failed),
    (true, (.failed, true, true), .failed, .failed),
  ]

  @Test func everyCell() {
    var seen: Set<String> = []
    for cell in Self.table {
      let report = cell.report.map {
        SlotState.Observation(status: $0.0, isDesiredVersion: $0.version, isDesiredHash: $0.hash)
      }
      let state = SlotState(isDelivered: cell.delivered, isOnline: true, report: report)
      #expect(
        state == SlotState(cell.2, cell.3), "delivered \(cell.delivered), \(String(describing: cell.report))")
      // Not being there is why nothing is known where the broker has the document; it changes nothing else.
      let offline = SlotState(isDelivered: cell.delivered, isOnline: false, report: report)
      let isWaiting = cell.delivered && cell.2 == .pending || cell.2 == .inProgress
      #expect(offline == SlotState(cell.2, isWaiting ? .offline : cell.3))
      seen.insert("\(cell.delivered) \(String(describing: report))")
    }
    #expect(seen.count == 2 * (1 + ReportedSlot.Status.allCases.count * 2 * 2))
  }

  @Test func countsByStatus() {
    var convergence = Convergence()
    #expect(convergence.total == 0)
    convergence.add(.accepted, count: 3)
    convergence.add(.failed)
    convergence.add(.failed)
    #expect(convergence[.accepted] == 3)
    #expect(convergence[.failed] == 2)
    #expect(convergence[.pending] == 0)
    #expect(convergence.total == 5)
  }
}

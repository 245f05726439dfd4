import CommandsDomain
import Observability

/// What must always hold, as `/metrics` shows it: over all organisations, and by every replica the same.
struct InvariantMetrics: Sendable {
  private let byStatus: [(status: CommandStatus, gauge: Gauge)]
  private let withoutDeadline: Gauge
  private let overdue: Gauge

  init(_ metrics: Metrics) {
    byStatus = CommandStatus.allCases.map { status in
      (
        status,
        metrics.gauge(
          "martlet_commands", help: "Commands that are kept, by status: created = terminal + open.",
          labels: [("status", status.rawValue)])
      )
    }
    withoutDeadline = metrics.gauge(
      "martlet_commands_open_without_deadline", help: "Open commands that no deadline watches over: always 0."
    )
    overdue = metrics.gauge(
      "martlet_commands_overdue", help: "Open commands whose deadline passed more than a second ago: 0.")
  }

  func show(_ counts: CommandStore.Counts) {
    for (status, gauge) in byStatus { gauge.set(Double(counts.byStatus[status.rawValue] ?? 0)) }
    withoutDeadline.set(Double(counts.openWithoutDeadline))
    overdue.set(Double(counts.overdue))
  }
}

import BridgeDomain
import Observability
import Wire

/// What the bridge counts.
struct BridgeMetrics: Sendable {
  private let uplinks: [Uplink.Kind: Counter]
  private let downlinks: [String: Counter]
  private let undelivered: [Undelivered: Counter]
  let uplinkDeadLetters: Counter
  let downlinkDeadLetters: Counter
  /// From handing a batch to the broker until its last PUBACK.
  let publishing: Timer
  /// From reading a batch of uplinks until Kafka has confirmed it.
  let confirming: Timer
  /// Publications that wait for their PUBACK.
  let unacknowledged: Gauge
  /// Retained messages of devices that were passed over.
  let retained: Counter
  /// Payloads of devices that were not quite JSON.
  let mended: Counter
  private let sessions: [UplinkClass: Gauge]
  /// What the broker has stored, in bytes.
  let brokerStored: Gauge
  /// The broker's bound for each session, in bytes.
  let brokerBound: Gauge

  init(_ metrics: Metrics) {
    uplinks = Dictionary(
      uniqueKeysWithValues: Uplink.Kind.allCases.filter { $0 != .series }.map { kind in
        (
          kind,
          metrics.counter(
            "martlet_bridge_uplinks_total", help: "Records for the services, by kind.",
            labels: [("kind", String(kind.rawValue.split(separator: ".").last ?? ""))])
        )
      })
    downlinks = Dictionary(
      uniqueKeysWithValues: [
        Downlink.commandType, Downlink.desiredType, Downlink.receiptType, Downlink.artefactType,
        Downlink.clearType,
      ].map { type in
        (
          type,
          metrics.counter(
            "martlet_bridge_downlinks_total", help: "Publications that the broker answered, by kind.",
            labels: [("kind", String(type.split(separator: ".").last ?? ""))])
        )
      })
    undelivered = Dictionary(
      uniqueKeysWithValues: Undelivered.allCases.map { reason in
        (
          reason,
          metrics.counter(
            "martlet_bridge_undelivered_total",
            help: "Commands that did not reach the broker or a subscriber.",
            labels: [("reason", reason.rawValue)])
        )
      })
    let deadLetters = { (consumer: String) in
      metrics.counter(
        "martlet_dead_letters_total", help: "Records that could not be understood.",
        labels: [("consumer", consumer)])
    }
    uplinkDeadLetters = deadLetters("uplink")
    downlinkDeadLetters = deadLetters("downlink")
    publishing = metrics.timer(
      "martlet_bridge_publish_seconds", help: "From handing a batch to the broker until its last PUBACK.")
    confirming = metrics.timer(
      "martlet_bridge_uplink_seconds", help: "From reading a batch of uplinks until Kafka has confirmed it.")
    retained = metrics.counter(
      "martlet_bridge_retained_ignored_total",
      help: "Retained messages of devices, which count on presence alone.")
    mended = metrics.counter(
      "martlet_bridge_mended_payloads_total",
      help: "Payloads of devices with zero bytes at the end, a byte order mark, or U+0000 in a text.")
    sessions = Dictionary(
      uniqueKeysWithValues: UplinkClass.allCases.map { known in
        (
          known,
          metrics.gauge(
            "martlet_bridge_uplink_session", help: "1 where this replica reads the session of this class.",
            labels: [("class", known.rawValue)])
        )
      })
    brokerStored = metrics.gauge(
      "martlet_bridge_broker_stored_bytes",
      help: "Payloads that the broker has stored, by its own count: what waits, and what is retained.")
    brokerBound = metrics.gauge(
      "martlet_bridge_broker_bound_bytes",
      help: "The broker's max_queued_bytes: what waits beyond it in one session is lost.")
    unacknowledged = metrics.gauge(
      "martlet_bridge_unacknowledged", help: "Publications that the broker has not answered yet.")
  }

  func note(_ known: UplinkClass, isRead: Bool) { sessions[known]?.set(isRead ? 1 : 0) }

  func count(_ kind: Uplink.Kind) { uplinks[kind]?.increment() }

  func count(_ downlink: Downlink) { downlinks[downlink.type]?.increment() }

  func count(report: Uplink) {
    count(report.kind)
    if case .undelivered(_, let reason, _) = report { undelivered[reason]?.increment() }
  }
}

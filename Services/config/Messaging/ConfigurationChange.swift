import ConfigDomain
import FoundationEssentials
import Wire

/// One device's configuration on its way from what is stored to what it becomes, with what has to follow.
struct ConfigurationChange: Sendable {
  let before: DeviceConfiguration
  var after: ConfigurationStore.Stored
  /// What others are told.
  private(set) var events: [Event] = []
  /// Whether the document goes to the broker.
  private(set) var isSent = false

  init(_ stored: ConfigurationStore.Stored) {
    before = stored.configuration
    after = stored
  }

  /// Lets Domain decide, and keeps the effects.
  mutating func make(
    in traceparent: String?, _ decide: (inout DeviceConfiguration) -> [DeviceConfiguration.Effect]
  ) {
    for effect in decide(&after.configuration) {
      switch effect {
      case .send: isSent = true
      case .tell(let event):
        events.append(ConfigEvents.event(event, of: after.configuration, in: traceparent))
      }
    }
  }
}

/// What a device or the broker said of a device's configuration.
struct DeviceObservation: Sendable {
  enum Kind: Sendable {
    /// The broker has the document.
    case published(revision: Int64)
    /// The device said this of its slots.
    case reported([String: ReportedSlot])
  }

  let deviceId: String
  let at: Date
  let traceparent: String?
  let kind: Kind

  func apply(to configuration: inout DeviceConfiguration) -> [DeviceConfiguration.Effect] {
    switch kind {
    case .published(let revision): configuration.published(revision, at: at)
    case .reported(let slots):
      slots.sorted { $0.key < $1.key }.flatMap {
        configuration.reported($0.key, Report(slot: $0.value, at: at))
      }
    }
  }
}

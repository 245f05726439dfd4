import Loop
import MQTT
import Observability
import Wire

/// One device: a connection of its own, and a memory of what it has done.
///
/// What comes is answered at once, on the loop: no task for each message.
final class SimulatedDevice {
  let id: String
  let idBytes: [UInt8]
  let fleet: Fleet
  var commands = CommandMemory()
  /// The newest document that it has applied.
  var revision: Int64 = -1
  /// Final answers that wait for their receipt.
  var unconfirmed: Set<CommandId> = []
  private var isConnected = false
  private var battery = 100
  private let topics: [DeviceTopic: String]
  private var session: MQTTSession?

  init(_ id: String, fleet: Fleet) {
    self.id = id
    idBytes = Array(id.utf8)
    self.fleet = fleet
    topics = Dictionary(uniqueKeysWithValues: DeviceTopic.allCases.map { ($0, $0.of(id)) })
  }

  /// Connects and stays connected.
  func start(logger: Logger) {
    var subscribed: [DeviceTopic] = [.command, .desired]
    if fleet.settings.isCareful { subscribed.append(.commandReceipt) }
    let me = LoopBound(fleet.loop, confined: self)
    let session = MQTTSession(
      configuration: fleet.settings.connection(of: id), loop: fleet.loop,
      subscriptions: subscribed.map { MQTTSubscription($0.of(id)) }, logger: logger,
      onMessage: { me.value.received($0) }, onState: { me.value.changed($0) })
    self.session = session
    session.start()
    if let period = fleet.settings.stateEach { sendState(each: period) }
  }

  /// Says that it goes.
  /// - Returns: what has to be disconnected.
  func sayGoodbye() -> MQTTSession? {
    if isConnected { publish(.presence, Answers.offline, retain: true) }
    return session
  }

  /// Drops the connection, as a device without power would, and comes back later.
  func vanish() {
    session?.abort()
    fleet.after(fleet.settings.away) { [self] in session?.start() }
  }

  func publish(_ topic: DeviceTopic, _ payload: [UInt8], retain: Bool = false, traceparent: String? = nil) {
    guard let name = topics[topic] else { return }
    var message = MQTTMessage(topic: name, payload: payload, qos: .atLeastOnce, retain: retain)
    if let traceparent { message.properties.userProperties = [(EventHeader.traceparent, traceparent)] }
    session?.publishDetached(message)
  }

  private func changed(_ state: MQTTSessionState) {
    switch state {
    case .connected(let sessionPresent):
      if !isConnected { fleet.counts.connected += 1 }
      isConnected = true
      // The subscriptions are there: whoever sees the device come may send at once.
      publish(.presence, Answers.online, retain: true)
      fleet.log.other("connected", idBytes, ["sessionPresent": .bool(sessionPresent)])
    case .disconnected(let reason):
      if isConnected { fleet.counts.connected -= 1 }
      isConnected = false
      fleet.log.other("disconnected", idBytes, ["reason": .string(reason.description)])
    }
  }

  private func received(_ message: MQTTMessage) {
    if message.topic == topics[.command] {
      receivedCommand(message.payload, traceparent: message.properties[user: EventHeader.traceparent])
    } else if message.topic == topics[.desired] {
      receivedDesired(message.payload)
    } else if message.topic == topics[.commandReceipt] {
      receivedReceipt(message.payload)
    }
  }

  private func sendState(each period: Duration) {
    // Spread over the period, so that a fleet does not speak all at once.
    let share = Double(id.utf8.reduce(UInt32(7)) { $0 &* 31 &+ UInt32($1) } % 1000) / 1000
    fleet.after(period * share) { [self] in stateIsDue(period) }
  }

  private func stateIsDue(_ period: Duration) {
    battery = battery > 1 ? battery - 1 : 100
    if isConnected { publish(.state, Self.state(battery)) }
    fleet.after(period) { [self] in stateIsDue(period) }
  }
}

import MQTT
import Observability
import Synchronization
import Wire

/// One device: a connection of its own, and a memory of what it has done.
///
/// Messages come on the event loop's thread, and answers go out from there: no task for each message.
final class SimulatedDevice: Sendable {
  struct Memory {
    var commands = CommandMemory()
    /// The newest document that it has applied.
    var revision: Int64 = -1
    /// Final answers that wait for their receipt.
    var unconfirmed: Set<CommandId> = []
    var isConnected = false
    var battery = 100
  }

  let id: String
  let idBytes: [UInt8]
  let fleet: Fleet
  let memory = Mutex(Memory())
  private let topics: [DeviceTopic: String]
  private let commandTopic: String
  private let session = Mutex<MQTTSession?>(nil)

  init(_ id: String, fleet: Fleet) {
    self.id = id
    idBytes = Array(id.utf8)
    self.fleet = fleet
    topics = Dictionary(uniqueKeysWithValues: DeviceTopic.allCases.map { ($0, $0.of(id)) })
    commandTopic = DeviceTopic.command.of(id)
  }

  /// Connects and stays connected.
  func start(on loop: MQTTEventLoop, logger: Logger) {
    var subscribed: [DeviceTopic] = [.command, .desired]
    if fleet.settings.isCareful { subscribed.append(.commandReceipt) }
    let session = MQTTSession(
      configuration: fleet.settings.connection(of: id), loop: loop,
      subscriptions: subscribed.map { MQTTSubscription($0.of(id)) }, logger: logger,
      onMessage: { [weak self] in self?.received($0) }, onState: { [weak self] in self?.changed($0) })
    self.session.withLock { $0 = session }
    session.start()
    if let period = fleet.settings.stateEach { sendState(each: period) }
  }

  /// Says goodbye and disconnects, in order.
  func end() async {
    guard let session = session.withLock({ $0 }) else { return }
    if session.isConnected { publish(.presence, Answers.offline, retain: true) }
    await session.disconnect(timeout: .seconds(3))
  }

  /// Drops the connection, as a device without power would, and comes back later.
  func vanish() {
    session.withLock { $0 }?.abort()
    fleet.timers.after(fleet.settings.away) { [weak self] in self?.session.withLock { $0 }?.start() }
  }

  func publish(_ topic: DeviceTopic, _ payload: [UInt8], retain: Bool = false, traceparent: String? = nil) {
    guard let name = topics[topic] else { return }
    var message = MQTTMessage(topic: name, payload: payload, qos: .atLeastOnce, retain: retain)
    if let traceparent { message.properties.userProperties = [(EventHeader.traceparent, traceparent)] }
    session.withLock { $0 }?.publishDetached(message)
  }

  private func changed(_ state: MQTTSessionState) {
    switch state {
    case .connected(let sessionPresent):
      if set(connected: true) { fleet.counts.connected.add(1, ordering: .relaxed) }
      // The subscriptions are there: whoever sees the device come may send at once.
      publish(.presence, Answers.online, retain: true)
      fleet.log.other("connected", idBytes, ["sessionPresent": .bool(sessionPresent)])
    case .disconnected(let reason):
      if set(connected: false) { fleet.counts.connected.subtract(1, ordering: .relaxed) }
      fleet.log.other("disconnected", idBytes, ["reason": .string(reason.description)])
    }
  }

  /// Whether that is a change.
  private func set(connected: Bool) -> Bool {
    memory.withLock { memory in
      defer { memory.isConnected = connected }
      return memory.isConnected != connected
    }
  }

  private func received(_ message: MQTTMessage) {
    if message.topic == commandTopic {
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
    fleet.timers.after(period * share) { [weak self] in self?.stateIsDue(period) }
  }

  private func stateIsDue(_ period: Duration) {
    let (isConnected, battery) = memory.withLock { memory in
      memory.battery = memory.battery > 1 ? memory.battery - 1 : 100
      return (memory.isConnected, memory.battery)
    }
    if isConnected { publish(.state, Self.state(battery)) }
    fleet.timers.after(period) { [weak self] in self?.stateIsDue(period) }
  }
}

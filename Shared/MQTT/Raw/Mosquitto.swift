import CMosquitto
import CMosquittoIO
import FoundationEssentials
import Glibc

/// What libmosquitto reports, always inside a call of `read`, `write` or `tick`. Publishing and dropping the handle are
/// all right there (the caller holds on to it until the call is over), waiting and driving it are not.
protocol MosquittoDelegate: AnyObject {
  func connected(_ reason: MQTTReasonCode, sessionPresent: Bool, brokerReceiveMaximum: Int)
  /// The broker said why it ends the connection.
  func disconnectedByBroker(_ reason: MQTTReasonCode)
  func published(id: Int, reason: MQTTReasonCode)
  func received(_ message: MQTTMessage)
  func subscribed(id: Int, granted: [MQTTReasonCode])
  func unsubscribed(id: Int)
}

/// Owns one libmosquitto handle, which is used for one connection only.
///
/// A fresh handle for every connection attempt: the library would send its unacknowledged QoS 1 messages again on
/// a reconnect, unseen by the callers that were already told `connectionLost` and own the redelivery.
///
/// The library is put into its "threaded" mode, in which it never writes by itself: packets are queued and only
/// `write` sends them. So acknowledgements can be held back.
///
/// Not `Sendable` by itself: whoever has it uses it from one thread at a time.
final class Mosquitto {
  private let handle: OpaquePointer
  private unowned let delegate: any MosquittoDelegate
  private let usesTLS: Bool
  /// Put on what is read now.
  private var readAt = Date.distantPast
  private var farewell = Farewell.none

  /// A disconnect of our own.
  private enum Farewell {
    case none
    case due([UInt8])
    /// Nothing may follow it.
    case said
  }

  /// A handle that is not connected yet; `nil` when the library has no memory or no descriptors left for it.
  init?(_ configuration: MQTTConfiguration, delegate: any MosquittoDelegate) {
    guard Self.libraryIsReady,
      let handle = mosquitto_new(configuration.clientId, configuration.cleanStart, nil)
    else { return nil }
    self.handle = handle
    self.delegate = delegate
    usesTLS = configuration.tls != nil
    mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
    mosquitto_threaded_set(handle, true)
    mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5)
    mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1)
    mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, Int32(max(1, configuration.receiveMaximum)))
    // The window is the session's own; the library shall not keep a second queue behind it.
    mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, 0)
    setCallbacks()
  }

  deinit { mosquitto_destroy(handle) }

  /// The socket; -1 when there is none (any more).
  var descriptor: Int32 { mosquitto_socket(handle) }
  /// Whether there is a socket.
  var isOpen: Bool { descriptor >= 0 }
  /// Whether packets are waiting to be written.
  var wantsToWrite: Bool {
    switch farewell {
    case .none: mosquitto_want_write(handle) || martlet_unsent(descriptor) != 0
    case .due: true
    case .said: false
    }
  }
  /// Whether the socket has nothing to read.
  var isEmpty: Bool { martlet_bytes_waiting(descriptor) == 0 }

  /// The error that a connection attempt in progress ended with, if it did.
  var connectFailure: String? {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0, code != 0 else { return nil }
    return String(cString: strerror(code))
  }

  // MARK: Opening

  /// Begins to connect: the packet is queued, the TCP handshake may still be under way.
  ///
  /// - Parameters:
  ///   - address: what to connect to in place of the configured host (an address that it resolved to).
  ///   - blocking: wait for the TCP handshake, trying all addresses of the name in turn.
  func connect(_ configuration: MQTTConfiguration, address: String?, blocking: Bool) throws(MQTTError) {
    try configure(configuration)
    var properties = PropertyList()
    properties.add(MQTT_PROP_SESSION_EXPIRY_INTERVAL, configuration.sessionExpiry)
    let host = address ?? configuration.host
    let keepAlive = Int32(configuration.effectiveKeepAlive)
    let port = Int32(clamping: configuration.port)
    var code: Int32
    if blocking {
      code = mosquitto_connect_bind_v5(handle, host, port, keepAlive, nil, properties.head)
    } else {
      // Only this call takes properties and it connects blocking; only the other one does not block and it takes
      // no properties, but uses those of the call before. So: this one with a port that it must refuse (its
      // header says so) after it kept the properties, then the other one.
      code = mosquitto_connect_bind_v5(handle, host, -1, keepAlive, nil, properties.head)
      guard code == MOSQ_ERR_INVAL.rawValue else { throw .failed(libraryText(code)) }
      code = mosquitto_connect_bind_async(handle, host, port, keepAlive, nil)
    }
    let systemCode = errno
    guard code <= 0, isOpen else {
      throw .failed(
        code == MOSQ_ERR_ERRNO.rawValue ? String(cString: strerror(systemCode)) : libraryText(code))
    }
    if !usesTLS { Self.gather(descriptor) }
  }

  private func configure(_ configuration: MQTTConfiguration) throws(MQTTError) {
    if let name = configuration.username {
      try check(mosquitto_username_pw_set(handle, name, configuration.password))
    }
    if let tls = configuration.tls {
      try check(mosquitto_tls_set(handle, tls.caFile, nil, tls.certificateFile, tls.keyFile, nil))
      try check(mosquitto_tls_opts_set(handle, 1, "tlsv1.2", nil))
    }
    if let will = configuration.will {
      var properties = PropertyList(will.properties)
      let code = will.payload.withUnsafeBytes {
        mosquitto_will_set_v5(
          handle, will.topic, Int32($0.count), $0.baseAddress, Int32(will.qos.rawValue), will.retain,
          properties.head)
      }
      try check(code)
      // The library owns the list after a success.
      properties.release()
    }
  }

  // MARK: Sending (queued until `write`)

  /// Queues a message and gives its packet id.
  func publish(_ message: MQTTMessage) throws(MQTTError) -> Int {
    var id: Int32 = 0
    let properties = PropertyList(message.properties)
    let code = message.payload.withUnsafeBytes {
      mosquitto_publish_v5(
        handle, &id, message.topic, Int32($0.count), $0.baseAddress, Int32(message.qos.rawValue),
        message.retain,
        properties.head)
    }
    if code == MOSQ_ERR_MALFORMED_UTF8.rawValue || code == MOSQ_ERR_INVAL.rawValue { throw .invalidTopic }
    try check(code)
    return Int(id)
  }

  /// Queues a subscription and gives its packet id.
  func subscribe(_ subscription: MQTTSubscription) throws(MQTTError) -> Int {
    var id: Int32 = 0
    let code = mosquitto_subscribe_v5(
      handle, &id, subscription.filter, Int32(subscription.qos.rawValue), subscription.retained.rawValue, nil)
    if code == MOSQ_ERR_MALFORMED_UTF8.rawValue || code == MOSQ_ERR_INVAL.rawValue { throw .invalidFilter }
    try check(code)
    return Int(id)
  }

  /// Queues the end of a subscription and gives its packet id.
  func unsubscribe(_ filter: String) throws(MQTTError) -> Int {
    var id: Int32 = 0
    let code = mosquitto_unsubscribe_v5(handle, &id, filter, nil)
    if code == MOSQ_ERR_MALFORMED_UTF8.rawValue || code == MOSQ_ERR_INVAL.rawValue { throw .invalidFilter }
    try check(code)
    return Int(id)
  }

  /// Queues the disconnect, behind everything that is queued. When the broker has read it, it closes the connection.
  ///
  /// The library would close it as soon as that is written. If anything unread is there then, TCP tells the broker that
  /// the connection broke, and it may throw away the acknowledgements that stand before the disconnect. So it is ours,
  /// unless it has to be encrypted.
  func disconnect(endSession: Bool) {
    guard usesTLS else {
      // Reason 0; with a property of 5 bytes, the expiry of 0 seconds.
      farewell = .due(endSession ? [0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0] : [0xE0, 0])
      return
    }
    var properties = PropertyList()
    if endSession { properties.add(MQTT_PROP_SESSION_EXPIRY_INTERVAL, UInt32(0)) }
    mosquitto_disconnect_v5(handle, 0, properties.head)
  }

  // MARK: Driving

  /// Reads one packet or a few (as many as messages of ours are unacknowledged). Never writes.
  /// - Parameter time: put on the messages.
  /// - Returns: why the connection is gone, or `nil`.
  func read(at time: Date) -> String? {
    readAt = time
    return outcome(mosquitto_loop_read(handle, 1))
  }

  /// Whether more may be read that the socket does not show.
  var holdsInput: Bool { usesTLS || martlet_received(descriptor) > 0 }

  /// Whether the next `read` may find something.
  /// - Parameter progressed: whether the last one has reported anything.
  func hasInput(_ progressed: Bool) -> Bool {
    if martlet_received(descriptor) > 0 { return true }
    if usesTLS && progressed { return true }
    return !Self.isGathered && !isEmpty
  }

  /// Writes what is queued, as far as the socket takes it.
  /// - Returns: why the connection is gone, or `nil`.
  func write() -> String? {
    if case .said = farewell { return nil }
    let failure = mosquitto_want_write(handle) ? outcome(mosquitto_loop_write(handle, 1)) : nil
    guard failure == nil, isOpen else { return failure }
    let code = martlet_send(descriptor)
    guard code == 0 else { return String(cString: strerror(code)) }
    return sayFarewell()
  }

  private func sayFarewell() -> String? {
    guard case .due(let packet) = farewell, !mosquitto_want_write(handle), martlet_unsent(descriptor) == 0
    else {
      return nil
    }
    let sent = send(descriptor, packet, packet.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    if sent == packet.count { farewell = .said } else if sent >= 0 || errno != EAGAIN { return "closed" }
    return nil
  }

  /// Queues a ping when one is due. A connection whose last ping was not answered is closed.
  /// - Returns: why the connection is gone, or `nil`.
  func tick() -> String? { outcome(mosquitto_loop_misc(handle)) }

  /// Sends a ping at once, past the queue. Only while the queue's first packet has not been begun.
  func pingNow() {
    guard isOpen, !usesTLS else { return }
    let packet: [UInt8] = [0xC0, 0]
    _ = send(descriptor, packet, 2, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
  }

  /// Ends the connection under the library, even if a child process has inherited the socket.
  func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  private func outcome(_ code: Int32) -> String? {
    if isOpen { return nil }
    return code == MOSQ_ERR_SUCCESS.rawValue ? "closed" : libraryText(code)
  }

  private func check(_ code: Int32) throws(MQTTError) {
    guard code == MOSQ_ERR_SUCCESS.rawValue else { throw .failed(libraryText(code)) }
  }

  // MARK: Callbacks

  private func setCallbacks() {
    mosquitto_connect_v5_callback_set(handle) { _, object, reason, flags, properties in
      var maximum: UInt16 = 65_535
      mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM.number, &maximum, false)
      Mosquitto.from(object)?.connected(
        MQTTReasonCode(rawValue: UInt8(clamping: reason)), sessionPresent: flags & 1 != 0,
        brokerReceiveMaximum: max(1, Int(maximum)))
    }
    mosquitto_disconnect_v5_callback_set(handle) { _, object, code, _ in
      // Below 128 it is a code of the library, which `read` and the others return too.
      guard code >= 128 else { return }
      Mosquitto.from(object)?.disconnectedByBroker(MQTTReasonCode(rawValue: UInt8(clamping: code)))
    }
    mosquitto_publish_v5_callback_set(handle) { _, object, id, reason, _ in
      Mosquitto.from(object)?.published(
        id: Int(id), reason: MQTTReasonCode(rawValue: UInt8(clamping: reason)))
    }
    mosquitto_message_v5_callback_set(handle) { _, object, message, properties in
      guard let message = message?.pointee, let topic = message.topic, let object else { return }
      let owner = Unmanaged<Mosquitto>.fromOpaque(object).takeUnretainedValue()
      owner.delegate.received(
        MQTTMessage(
          topic: String(cString: topic),
          payload: Array(UnsafeRawBufferPointer(start: message.payload, count: Int(message.payloadlen))),
          qos: message.qos == 0 ? .atMostOnce : .atLeastOnce, retain: message.retain,
          properties: properties.map(MQTTProperties.init(reading:)) ?? MQTTProperties(),
          receivedAt: owner.readAt))
    }
    mosquitto_subscribe_v5_callback_set(handle) { _, object, id, count, granted, _ in
      let reasons = UnsafeBufferPointer(start: granted, count: Int(count))
      Mosquitto.from(object)?.subscribed(
        id: Int(id), granted: reasons.map { MQTTReasonCode(rawValue: UInt8(clamping: $0)) })
    }
    mosquitto_unsubscribe_v5_callback_set(handle) { _, object, id, _ in
      Mosquitto.from(object)?.unsubscribed(id: Int(id))
    }
  }

  private static func from(_ object: UnsafeMutableRawPointer?) -> (any MosquittoDelegate)? {
    object.map { Unmanaged<Mosquitto>.fromOpaque($0).takeUnretainedValue().delegate }
  }

  /// Whether the library's system calls are gathered: else it makes several for each packet.
  static let isGathered = martlet_gather_mosquitto_io() != 0

  /// Reads and writes of this socket go through buffers, until the library closes it.
  static func gather(_ socket: Int32) { martlet_gather(socket) }

  private static let libraryIsReady = {
    // Before the first handle.
    _ = isGathered
    return mosquitto_lib_init() == MOSQ_ERR_SUCCESS.rawValue
  }()
}

/// libmosquitto's words for one of its error codes.
private func libraryText(_ code: Int32) -> String { String(cString: mosquitto_strerror(code)) }

/// The specification's words for a reason code.
func reasonText(_ reason: UInt8) -> String { String(cString: mosquitto_reason_string(Int32(reason))) }

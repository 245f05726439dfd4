import CMosquitto
import Glibc

extension mqtt5_property {
  /// As the functions want it.
  var number: Int32 { Int32(bitPattern: rawValue) }
}

/// Owns a property list of libmosquitto. An empty one allocates nothing.
struct PropertyList: ~Copyable {
  private(set) var head: OpaquePointer?

  init() {}

  /// The list for a message.
  init(_ properties: MQTTProperties) {
    if properties.isEmpty { return }
    if let expiry = properties.messageExpiry { add(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, expiry) }
    if let type = properties.contentType { add(MQTT_PROP_CONTENT_TYPE, type) }
    if let topic = properties.responseTopic { add(MQTT_PROP_RESPONSE_TOPIC, topic) }
    if let data = properties.correlationData {
      _ = data.withUnsafeBytes {
        mosquitto_property_add_binary(
          &head, MQTT_PROP_CORRELATION_DATA.number, $0.baseAddress, UInt16(clamping: $0.count))
      }
    }
    for (name, value) in properties.userProperties {
      mosquitto_property_add_string_pair(&head, MQTT_PROP_USER_PROPERTY.number, name, value)
    }
  }

  deinit {
    var head = head
    mosquitto_property_free_all(&head)
  }

  mutating func add(_ property: mqtt5_property, _ value: UInt32) {
    mosquitto_property_add_int32(&head, property.number, value)
  }

  mutating func add(_ property: mqtt5_property, _ value: String) {
    mosquitto_property_add_string(&head, property.number, value)
  }

  /// Gives the list away: the library frees it.
  mutating func release() { head = nil }
}

extension MQTTProperties {
  /// Copies what a received message carries; properties that the suite has no use for are left out.
  init(reading list: OpaquePointer) {
    self.init()
    var next: OpaquePointer? = list
    while let property = next {
      switch mosquitto_property_identifier(property) {
      case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.number:
        var seconds: UInt32 = 0
        mosquitto_property_read_int32(property, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.number, &seconds, false)
        messageExpiry = seconds
      case MQTT_PROP_CONTENT_TYPE.number:
        contentType = Self.text(property, MQTT_PROP_CONTENT_TYPE)
      case MQTT_PROP_RESPONSE_TOPIC.number:
        responseTopic = Self.text(property, MQTT_PROP_RESPONSE_TOPIC)
      case MQTT_PROP_CORRELATION_DATA.number:
        var bytes: UnsafeMutableRawPointer?
        var length: UInt16 = 0
        mosquitto_property_read_binary(property, MQTT_PROP_CORRELATION_DATA.number, &bytes, &length, false)
        correlationData = Array(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : Int(length)))
        free(bytes)
      case MQTT_PROP_USER_PROPERTY.number:
        var name: UnsafeMutablePointer<CChar>?
        var value: UnsafeMutablePointer<CChar>?
        mosquitto_property_read_string_pair(property, MQTT_PROP_USER_PROPERTY.number, &name, &value, false)
        userProperties.append(
          (name.map { String(cString: $0) } ?? "", value.map { String(cString: $0) } ?? ""))
        free(name)
        free(value)
      default: break
      }
      next = mosquitto_property_next(property)
    }
  }

  private static func text(_ property: OpaquePointer, _ identifier: mqtt5_property) -> String? {
    var bytes: UnsafeMutablePointer<CChar>?
    mosquitto_property_read_string(property, identifier.number, &bytes, false)
    defer { free(bytes) }
    return bytes.map { String(cString: $0) }
  }
}

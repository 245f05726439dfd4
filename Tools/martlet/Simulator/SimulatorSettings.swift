import FoundationEssentials
import MQTT
import Runtime
import Wire

/// What `martlet simulate` was told.
public struct SimulatorSettings: Sendable {
  public var host = "127.0.0.1"
  public var port = 1883
  public var user = "simulator"
  public var password: String?
  public var devices: [String] = []
  public var devicesFile: String?
  public var behaviours: [String] = []
  public var shares = Behaviours.Shares()
  public var late = Duration.seconds(5)
  public var away = Duration.seconds(5)
  public var work = Duration.zero
  public var stateEach: Duration?
  public var log: String?
  public var isCareful = false
  public var receiptWait = Duration.seconds(2)
  public var sessionExpiry: UInt32 = 3600
  public var exitAfter: Duration?
  public var isQuiet = false

  public init() {}

  public init(_ settings: inout SettingsReader) {
    host = settings.string("mqtt-host", default: host, help: "The MQTT broker.")
    port = settings.int("mqtt-port", default: port, in: 1...65535, help: "The MQTT broker's port.")
    user = settings.string(
      "mqtt-user", default: user,
      help: "The account, which may act for any device; empty connects without one.")
    let own = settings.optionalSecret("mqtt-sim-password", help: "The account's password.")
    let common = settings.optionalSecret("mqtt-password", help: "The same, if the other one is not set.")
    password = own ?? common
    devices = settings.list("device", help: "A deviceId.")
    devicesFile = settings.optional("devices-file", help: "A file of deviceIds, one a line.")
    behaviours = settings.list(
      "behaviour",
      help: "DEVICEID=\(Behaviour.allCases.map(\.rawValue).joined(separator: "|")): how that device behaves.")
    readShares(&settings)
    readTimes(&settings)
    log = settings.optional("log", help: "A file for what happens, as NDJSON, appended to.")
    isCareful = settings.flag("careful", help: "Repeat final answers until their receipt comes.")
    sessionExpiry = UInt32(
      settings.int(
        "sessions-expiry", default: Int(sessionExpiry), in: 0...Int(UInt32.max),
        help: "Seconds for which the broker keeps a device's session; 0 is no longer than its connection."))
    isQuiet = settings.flag("quiet", help: "No progress lines.")
  }

  private mutating func readShares(_ settings: inout SettingsReader) {
    func percent(_ name: String, _ what: String) -> Double {
      settings.double(
        "\(name)-percent", default: 0, in: 0...100, help: "This many percent of all commands \(what).")
    }
    shares.never = percent("never", "are never answered")
    shares.late = percent("late", "are answered late")
    shares.twice = percent("twice", "are answered twice")
    shares.fail = percent("fail", "fail")
    shares.garbage = percent("garbage", "are answered with garbage")
  }

  private mutating func readTimes(_ settings: inout SettingsReader) {
    late = .milliseconds(
      settings.int("late-ms", default: 5000, in: 0...86_400_000, help: "How late `late` is, in milliseconds.")
    )
    away = .seconds(
      settings.int("offline-seconds", default: 5, in: 0...86_400, help: "How long `offline` stays away."))
    work = .milliseconds(
      settings.int(
        "work-ms", default: 0, in: 0...3_600_000,
        help: "Milliseconds between ACKNOWLEDGED and the final answer."))
    receiptWait = .milliseconds(
      settings.int(
        "receipt-ms", default: 2000, in: 10...3_600_000,
        help: "With --careful: how long to wait for a receipt before the answer is repeated."))
    let seconds = settings.int(
      "state-seconds", default: 0, in: 0...86_400, help: "How often each device sends its state; 0 is never.")
    stateEach = seconds == 0 ? nil : .seconds(seconds)
    let exit = settings.int(
      "exit-after", default: 0, in: 0...864_000, help: "End after so many seconds; 0 is never.")
    exitAfter = exit == 0 ? nil : .seconds(exit)
  }

  /// All deviceIds, each once.
  /// - Throws: what is wrong with them.
  func deviceIds() throws -> [String] {
    var ids = devices
    if let devicesFile {
      guard let data = FileManager.default.contents(atPath: devicesFile) else {
        throw SimulatorError("\(devicesFile) cannot be read")
      }
      ids += String(decoding: data, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
    }
    if let wrong = ids.first(where: { !Identifier.isDeviceId($0) }) {
      throw SimulatorError("\(wrong) is no deviceId: 16 characters 0-9 a-f")
    }
    if ids.isEmpty { throw SimulatorError("no device: give --device or --devices-file") }
    var seen: Set<String> = []
    return ids.filter { seen.insert($0).inserted }
  }

  /// Who behaves how.
  /// - Throws: what is wrong with the flags.
  func allBehaviours() throws -> Behaviours {
    var own: [String: Behaviour] = [:]
    for text in behaviours {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, Identifier.isDeviceId(parts[0]), let behaviour = Behaviour(rawValue: parts[1])
      else {
        let words = Behaviour.allCases.map(\.rawValue).joined(separator: ", ")
        throw SimulatorError("--behaviour takes DEVICEID=WORD with one of \(words), not \(text)")
      }
      own[parts[0]] = behaviour
    }
    return Behaviours(own: own, shares: shares)
  }

  func connection(of device: String) -> MQTTConfiguration {
    MQTTConfiguration(
      host: host, port: port, clientId: "martlet-sim-\(device)", username: user.isEmpty ? nil : user,
      password: user.isEmpty ? nil : password, cleanStart: sessionExpiry == 0, sessionExpiry: sessionExpiry,
      keepAlive: 30, receiveMaximum: 100,
      will: MQTTMessage(
        topic: DeviceTopic.presence.of(device), payload: Answers.offline, qos: .atLeastOnce, retain: true))
  }
}

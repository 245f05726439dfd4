import FoundationEssentials
import Loop
import MQTT
import Observability
import Runtime
import Synchronization
import Wire

/// What devices see of it, and say.
extension ConfigBench {
  private static let singles = 200
  private static let reporting = 1000

  private func device(_ number: Int) -> String {
    let hex = String(number, radix: 16)
    return tenant.run + String(repeating: "0", count: 10 - hex.count) + hex
  }

  /// Bindings of single devices, one after the other: until each is answered, and until its device has the document.
  func single() async throws {
    let artefacts = [try await artefact(3), try await artefact(4)]
    let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
    let topics = (1...9).map { DeviceTopic.desired.of(device($0)) }
    let session = try await settings.mqtt.session("devices", topics, on: loop, Logger(label: "bench")) {
      if !$0.retain { arrived.yield() }
    }
    var arrival = arrivals.makeAsyncIterator()
    var (answers, documents): ([Duration], [Duration]) = ([], [])
    for number in 0..<Self.singles {
      let start = ContinuousClock.now
      _ = try await put(binding("DEVICE", device(1 + number % 9), artefacts[number / 9 % 2]))
      answers.append(.now - start)
      await arrival.next()
      documents.append(.now - start)
    }
    await session.disconnect(timeout: .seconds(3))
    for (what, times) in [("answered", answers.sorted()), ("at its device", documents.sorted())] {
      let (middle, slow) = (times[times.count / 2], times[times.count * 99 / 100])
      Program.print(
        "PUT for a single device, \(what): p50 \(Measurement.milliseconds(middle)) p99 \(Measurement.milliseconds(slow)) ms"
      )
    }
  }

  /// Devices that report at once that they have what they should have.
  func reports() async throws {
    let rows = try await database.query(
      """
      SELECT s.device_id, a.version, a.sha256
      FROM desired_slot s JOIN artefact a ON a.id = s.artefact_id JOIN device_configuration c USING (device_id)
      WHERE c.organisation_id = \(tenant.organisation) AND s.status <> 'ACCEPTED' LIMIT \(Self.reporting)
      """
    ).decode((String, Int, String).self)
    let session = try await settings.mqtt.session("reports", [], on: loop, Logger(label: "bench"))
    let before = ProcessTimes.read(settings.stack.runFolder)
    let start = ContinuousClock.now
    for (device, version, hash) in rows {
      let report = Uplink.reported([
        "wifi": ReportedSlot(version: version, sha256: hash, status: .accepted)
      ])
      session.publishDetached(
        MQTTMessage(topic: DeviceTopic.reported.of(device), payload: report.json.bytes))
    }
    let devices = rows.map(\.0)
    while try await database.query(
      "SELECT count(*) FROM desired_slot WHERE device_id = ANY(\(devices)::text[]) AND status = 'ACCEPTED'"
    ).first?.decode(Int.self) != rows.count { try await loop.sleep(for: .milliseconds(10)) }
    let time = ContinuousClock.now - start
    let after = ProcessTimes.read(settings.stack.runFolder)
    let used = ["config", "postgres"].reduce(0) { $0 + (after.seconds[$1] ?? 0) - (before.seconds[$1] ?? 0) }
    await session.disconnect(timeout: .seconds(3))
    Program.print(
      "\(rows.count) devices report at once: all merged after \(Measurement.milliseconds(time)) ms, "
        + "\(Int((used * 1e6 / Double(rows.count)).rounded())) µs of CPU of config and PostgreSQL each")
  }
}

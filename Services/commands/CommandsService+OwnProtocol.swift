import CommandsDomain
import FoundationEssentials
import Postgres
import Runtime
import Wire

/// Devices with protocols of their own.
extension CommandsService {
  /// What the command is for its device, with all places filled in; nil for the native protocol.
  /// - Throws: 422 with the pointer of each param that is missing or does not fit.
  func own(_ entry: Catalogue.Entry, _ values: TemplateValues) throws -> OwnCommand? {
    do { return try entry.own.map { try OwnCommand($0, values) } } catch let faults as JSONFaults {
      throw Problem.unprocessable(faults.faults)
    }
  }

  /// Takes a command's topics for its device's organisation.
  /// - Throws: 409 if a device of another one has them.
  func claim(_ own: OwnCommand, for device: DeviceEntity) async throws {
    guard try await store.claim([CommandStore.Claim(own: own, device: device)]).isEmpty else {
      throw Problem.conflict(Self.topicIsTaken)
    }
  }

  static let topicIsTaken =
    "The command's topic, or that of its answer, is in use by another organisation's device."

  /// The open commands of these answer topics.
  func answerQueues(_ topics: Set<ExactText>, on connection: PostgresConnection) async throws
    -> [ExactText: AnswerQueue]
  {
    guard !topics.isEmpty else { return [:] }
    var all: [ExactText: (open: [AnswerCandidate], held: [String])] = [:]
    for row in try await connection.query(CommandStore.open(ofTopics: topics.map(\.text).sorted())) {
      guard let (topic, candidate) = try CommandStore.candidate(row) else { continue }
      if try row["is_given"].decode(Bool.self) {
        all[ExactText(topic), default: ([], [])].open.append(candidate)
      } else {
        all[ExactText(topic), default: ([], [])].held.append(candidate.deviceId)
      }
    }
    return all.mapValues { AnswerQueue($0.open, held: $0.held) }
  }
}

extension TemplateValues {
  init(_ device: DeviceEntity, _ params: JSONObject) {
    self.init(
      hardwareId: device.mcuId, deviceId: device.deviceId, organisationId: device.organisationId,
      params: params)
  }

  /// For a look at the params alone.
  static func anyDevice(with params: JSONObject) -> TemplateValues {
    TemplateValues(hardwareId: "x", deviceId: "x", organisationId: .v7(), params: params)
  }
}

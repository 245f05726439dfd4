import ConfigDomain
import FoundationEssentials
import Postgres
import Wire

/// What a device asks for: the address of a large artefact (`artefact/get`, SPEC, section 6.1).
struct ArtefactRequest: Sendable {
  struct Question: Hashable, Sendable {
    let deviceId: String
    let sha256: String
  }

  let question: Question
  let traceparent: String?
}

extension ConfigService {
  /// Answers each with a fresh address, if the artefact is in the device's own document.
  func answer(_ requests: [ArtefactRequest], _ connection: PostgresConnection) async throws {
    // A batch may hold a request and its repeat: one answer does for both.
    var seen: Set<ArtefactRequest.Question> = []
    let requests = requests.filter { seen.insert($0.question).inserted }
    let desired = try await artefacts.desired(requests.map(\.question), connection)
    let now = Date.now.wholeMilliseconds
    let answers = requests.map { request in
      let answer = ArtefactAnswer(
        sha256: request.question.sha256, outcome: outcome(desired[request.question], at: now))
      return Downlink.artefact(answer).event(
        deviceId: request.question.deviceId, traceparent: request.traceparent)
    }
    try await outbox.tell(answers, on: connection)
  }

  private func outcome(_ desired: ArtefactStore.Desired?, at now: Date) -> ArtefactAnswer.Outcome {
    switch desired?.body {
    case .object(let object):
      let (url, expiresAt) = objects.download(object, as: desired?.contentType ?? "", at: now)
      return .url(url, expiresAt: expiresAt)
    case .inline: return .fault(.inline)
    case nil: return .fault(.notDesired)
    }
  }
}

import ConfigDomain
import FoundationEssentials
import Wire

/// The public events of artefacts, `martlet.config.events`, keyed by the artefact's id: they are no device's. An artefact never
/// changes, so its `rev` is 1 when it is made and 2 when it ends.
enum ArtefactEvents {
  static func created(_ artefact: Artefact, by author: ConfigService.Author) -> Event {
    event("artefactCreated", artefact, rev: 1, at: artefact.createdAt, by: author)
  }

  static func deleted(_ artefact: Artefact, at now: Date, by author: ConfigService.Author) -> Event {
    event("artefactDeleted", artefact, rev: 2, at: now, by: author)
  }

  private static func event(
    _ type: String, _ artefact: Artefact, rev: Int64, at: Date, by author: ConfigService.Author
  ) -> Event {
    Event(
      topic: .configEvents, key: artefact.id.text, type: "martlet.config.\(type)",
      json: [
        "rev": .int(rev), "organisationId": .string(artefact.organisationId.text), "at": .string(at.rfc3339),
        "artefactId": .string(artefact.id.text), "slot": .string(artefact.slot),
        "profile": artefact.profile.json, "version": .int(Int64(artefact.version)),
        "sha256": .string(artefact.sha256), "size": .int(Int64(artefact.size)),
        "contentType": .string(artefact.contentType), "by": .string(author.name),
      ], traceparent: author.traceparent)
  }
}

import CommandsDomain
import FoundationEssentials
import Wire

/// The public events of campaigns.
enum CampaignRecords {
  enum Kind: String {
    case created = "martlet.campaign.created"
    case cancelled = "martlet.campaign.cancelled"
    /// Every command is final.
    case finished = "martlet.campaign.finished"
  }

  static func event(
    _ kind: Kind, _ campaign: Campaign, _ counts: CampaignCounts, by name: String? = nil, at: Date
  ) -> Event {
    Event(
      topic: .commandsEvents, key: campaign.id.text, type: kind.rawValue,
      json: .compact([
        "campaignId": .string(campaign.id.text), "organisationId": .string(campaign.organisationId.text),
        "status": .string(campaign.status.rawValue), "type": .string(campaign.type),
        // A list of names may be long, and stands in the campaign.
        "target": campaign.target["deviceIds"] == nil ? campaign.target : nil,
        "total": .int(campaign.total), "counts": counts.json, "reason": campaign.reason.map { .string($0) },
        "retryOf": campaign.retryOf.map { .string($0.text) }, "by": name.map { .string($0) },
        "at": .string(at.rfc3339), "rev": .int(campaign.rev),
      ]), traceparent: campaign.traceparent)
  }
}

import FoundationEssentials
import HTTP
import Runtime
import Wire

extension HTTPResponse {
  /// An object with its ETag.
  static func object(_ object: some Aggregate, status: Int = 200) -> HTTPResponse {
    tagged(object.json, object.id, rev: object.rev, status: status)
  }

  /// The same for what is shown in another way.
  static func tagged(_ json: JSON, _ id: UUID, rev: Int64, status: Int = 200) -> HTTPResponse {
    var response = HTTPResponse.json(json, status: status)
    response.headers["ETag"] = Precondition.tag(id, rev: rev)
    return response
  }

  /// Done, with nothing to say.
  static var noContent: HTTPResponse { HTTPResponse(status: 204) }

  /// A key, or an organisation with its keys, is no more. 204 says that the other services refuse the keys from now on;
  /// 202 that they do not know it yet, since Kafka is away: it is durable, and they hear of it as soon as Kafka is back.
  static func revoked(_ id: UUID, isTold: Bool) -> HTTPResponse {
    if isTold { return .noContent }
    return .json(
      [
        "id": .string(id.text), "deleted": true, "published": false,
        "message":
          "Deleted here. The other services have not been told yet and may still accept its keys until Kafka is reachable.",
      ], status: 202)
  }
}

import FoundationEssentials
import HTTP
import Runtime
import Wire

extension HTTPResponse {
  /// An object; its ETag is its revision.
  static func object(_ json: JSON, rev: Int64, status: Int = 200) -> HTTPResponse {
    var response = HTTPResponse.json(json, status: status)
    response.headers["ETag"] = Precondition.tag(rev: rev)
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

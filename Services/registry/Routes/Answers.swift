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
}

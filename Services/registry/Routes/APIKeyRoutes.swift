import Crypto
import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

struct APIKeyRoutes: Sendable {
  let registry: RegistryService

  func list(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    .list(try await registry.apiKeys(in: try context.scope(request), try request.page(context)), of: request)
    {
      $0.json
    }
  }

  /// The only answer that ever shows the key.
  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let secret = APIKey.text(random: SecureRandom.bytes(count: 32))
    let once = try await registry.idempotency.once(request, context, sealedBy: registry.keySeal) {
      (key: APIKey) in
      var shown = key.json.object ?? JSONObject()
      shown["key"] = .string(secret)
      return .json(.object(shown), status: 201)
    }
    let own = try context.scope(request)
    let new = try request.decode {
      APIKey(
        creating: &$0, organisation: own, id: .v7(), hash: SHA256.hash(secret).hex, at: .now.wholeMilliseconds
      )
    }
    return try once.response(try await registry.create(new, in: own, once, context))
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let id = try request.id("id", of: "API key")
    return .revoked(
      id, isTold: try await registry.delete(apiKey: id, in: try context.scope(request), context))
  }

  func whoami(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    switch context.principal {
    case .root: .json(["name": "root", "role": "admin"])
    case .key(let id, let organisation, let name, let role):
      .json([
        "id": .string(id.text), "name": .string(name), "role": .string(role.rawValue),
        "organisationId": .string(organisation.text),
      ])
    }
  }
}

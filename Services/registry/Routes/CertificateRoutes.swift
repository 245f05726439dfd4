import Crypto
import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

/// `/device/id/{id}/certificate`
struct CertificateRoutes: Sendable {
  let registry: RegistryService

  func create(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    let once = try await registry.idempotency.once(request, context) {
      (issued: RegistryService.IssuedCertificate) in
      var shown: JSONObject = ["certificate": .string(issued.certificate), "chain": .string(issued.chain)]
      for member in issued.record.json.object?.members ?? [] { shown[member.name] = member.value }
      return .json(.object(shown), status: 201)
    }
    let text = try request.decode { $0.required("csr", .string(1...CertificateSigningRequest.maximumSize)) }
    let asked: CertificateSigningRequest
    do { asked = try CertificateSigningRequest(pemEncoded: text) } catch {
      throw Problem.unprocessable([JSONFault(pointer: "/csr", message: error.description)])
    }
    return try once.response(
      try await registry.issueCertificate(
        for: request.parameter("id"), asked, in: try context.scope(request), once, context))
  }

  func delete(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try await registry.revokeCertificates(
      of: request.parameter("id"), in: try context.scope(request), context)
    return .noContent
  }
}

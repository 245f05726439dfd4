import Crypto
import FoundationEssentials
import HTTP
import Wire

/// A request's `Idempotency-Key`, with what tells this request from another that carries the same.
struct IdempotencyKey: Sendable {
  /// Whose key it is; the root key has a space of its own, whatever organisation it acts in.
  let organisation: UUID
  let text: String
  /// SHA-256 over method, target and the body's JSON value, or its bytes.
  let request: [UInt8]

  private static let root = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

  /// - Returns: nil if there is none.
  /// - Throws: 400 for one that is not of 1 to 255 visible ASCII characters, and for a body that is not JSON.
  init?(_ request: HTTPRequest, _ context: RequestContext, isJSON: Bool = true) throws {
    guard let text = request.headers["Idempotency-Key"] else { return nil }
    let isFit =
      (1...255).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
      && request.headers.values("Idempotency-Key").count == 1
    guard isFit else {
      throw Problem.badRequest("Idempotency-Key must be 1 to 255 visible ASCII characters, given once.")
    }
    var hash = SHA256()
    hash.update(data: Array("\(request.method.rawValue) \(request.target)\n".utf8))
    // One that says all with its path has none.
    if !request.body.isEmpty {
      hash.update(data: isJSON ? try request.json().distinct.canonicalBytes : request.body)
    }
    self.request = hash.finalize()
    (self.text, organisation) = (text, context.principal.organisationId ?? Self.root)
  }
}

extension JSON {
  /// The same value for equal values and for no others: in the canonical form, whose numbers are doubles, large whole numbers
  /// would be equal to their neighbours.
  fileprivate var distinct: JSON {
    switch self {
    // No text from HTTP holds a NUL.
    case .int(let number) where number.magnitude > 1 << 53: .string("\0\(number)")
    case .decimal(let text) where text.utf8.count > 15: .string("\0\(text)")
    case .array(let elements): .array(elements.map(\.distinct))
    case .object(let object): .object(object.mapValues(\.distinct))
    case .null, .bool, .int, .double, .decimal, .string: self
    }
  }
}

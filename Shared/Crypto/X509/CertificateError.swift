/// What is wrong with a certificate, a request or a key, in words for who sent it.
public struct CertificateError: Error, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

import FoundationEssentials

/// What a device gets on `artefact/url`.
public struct ArtefactAnswer: Sendable, Equatable {
  public enum Outcome: Sendable, Equatable {
    /// Where its bytes are to be had, and until when.
    case url(String, expiresAt: Date)
    case fault(Fault)
  }

  /// Why there is no address.
  public enum Fault: String, Sendable, CaseIterable {
    /// It is not in the device's desired document, or not any more.
    case notDesired
    /// The document itself has the content.
    case inline

    public var message: String {
      switch self {
      case .notDesired: "No slot of your desired document has an artefact with this hash."
      case .inline: "Your desired document holds the content of this artefact itself."
      }
    }
  }

  /// 64 lower-case hex characters.
  public let sha256: String
  public let outcome: Outcome

  public init(sha256: String, outcome: Outcome) { (self.sha256, self.outcome) = (sha256, outcome) }

  /// The message.
  public var json: JSON {
    switch outcome {
    case .url(let url, let expiresAt):
      ["sha256": .string(sha256), "url": .string(url), "expiresAt": .string(expiresAt.rfc3339)]
    case .fault(let fault):
      [
        "sha256": .string(sha256),
        "error": ["code": .string(fault.rawValue), "message": .string(fault.message)],
      ]
    }
  }

  /// Reads the message: what is wrong with it is noted.
  init(_ fields: inout JSONFields) {
    let fault = fields.optional(
      "error",
      .fields(Fault.notDesired) { error in
        _ = error.required("message", .string(0...1024))
        return error.required("code", .word(.notDesired))
      })
    sha256 = fields.required("sha256", .sha256)
    outcome =
      if let fault { .fault(fault) } else {
        .url(fields.required("url", .string(1...8192)), expiresAt: fields.required("expiresAt", .time))
      }
  }
}

extension JSONShape where Value == String {
  /// A SHA-256 in hexadecimal digits of either case; given back in lower case.
  public static var sha256: JSONShape {
    JSONShape("", expected: "64 hexadecimal digits") {
      $0.string.flatMap { [UInt8](hex: $0) }.flatMap { $0.count == 32 ? $0.hex : nil }
    }
  }
}

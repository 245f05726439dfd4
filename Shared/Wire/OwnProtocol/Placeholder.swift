import FoundationEssentials

/// A place in a template that is filled in when a command is made (SPEC, section 6.3).
public enum Placeholder: Sendable, Equatable {
  case hardwareId
  case deviceId
  /// The organisation's id.
  case organisation
  /// A param of the command, by its name.
  case param(String)

  /// Reads what stands between the braces; nil if it is none.
  init?(_ name: Substring) {
    switch name {
    case "hardware_id": self = .hardwareId
    case "device_id": self = .deviceId
    case "organisation": self = .organisation
    case _ where name.hasPrefix(Self.params):
      let param = name.dropFirst(Self.params.count)
      guard (1...64).contains(param.utf8.count), param.utf8.allSatisfy(Self.isOfParam) else { return nil }
      self = .param(String(param))
    default: return nil
    }
  }

  private static let params = "params."

  private static func isOfParam(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// What the places of templates are filled with. Each value is put in once and never looked at for places again.
public struct TemplateValues: Sendable {
  let hardwareId: String
  let deviceId: String
  let organisation: String
  let params: JSONObject

  public init(hardwareId: String, deviceId: String, organisationId: UUID, params: JSONObject) {
    (self.hardwareId, self.deviceId, self.params) = (hardwareId, deviceId, params)
    organisation = organisationId.text
  }

  /// - Throws: that a param is missing, with its pointer.
  subscript(_ place: Placeholder) -> JSON {
    get throws(JSONFaults) {
      switch place {
      case .hardwareId: return .string(hardwareId)
      case .deviceId: return .string(deviceId)
      case .organisation: return .string(organisation)
      case .param(let name):
        guard let value = params[name] else { throw Self.fault(place, "is missing") }
        return value
      }
    }
  }

  /// What is wrong with the value of a place, in a body that has them as `params`.
  static func fault(_ place: Placeholder, _ message: String) -> JSONFaults {
    guard case .param(let name) = place else {
      return JSONFaults([JSONFault(pointer: "", message: "the device's \(place) \(message)")])
    }
    return JSONFaults([JSONFault(pointer: "/params/" + JSONPointer.escape(name), message: message)])
  }
}

/// Why a text is no template.
public struct TemplateFault: Error, Sendable, Equatable {
  public let message: String
}

/// A piece of a template.
enum TemplatePiece: Sendable, Equatable {
  case text(String)
  case place(Placeholder)
}

extension Unicode.Scalar {
  /// Whether brokers refuse it in a topic, and lines of text end or bend at it: control characters and non-characters.
  var isControl: Bool {
    switch value {
    case 0...0x1F, 0x7F...0x9F, 0xFDD0...0xFDEF: true
    default: value & 0xFFFE == 0xFFFE
    }
  }
}

import FoundationEssentials
import Wire

/// What has become of one row.
public struct ImportResult: Sendable {
  public enum Outcome: Sendable {
    case created(Device)
    case updated(Device)
    case unchanged(Device)
    case failed([JSONFault])
  }

  public let row: Int
  public let line: Int
  public let outcome: Outcome

  public init(_ row: ImportRow, _ outcome: Outcome) {
    (self.row, line) = (row.row, row.line)
    if case .failed(let faults) = outcome {
      self.outcome = .failed(JSONFaults(faults).ofRow.faults)
    } else {
      self.outcome = outcome
    }
  }

  /// As a line of the streamed report.
  public var json: JSON {
    let (word, device, faults): (String, Device?, [JSONFault]) =
      switch outcome {
      case .created(let device): ("created", device, [])
      case .updated(let device): ("updated", device, [])
      case .unchanged(let device): ("unchanged", device, [])
      case .failed(let faults): ("failed", nil, faults)
      }
    return .compact([
      "row": .int(Int64(row)), "line": .int(Int64(line)), "result": .string(word),
      "id": device.map { .string($0.id.text) }, "deviceId": device.map { .string($0.deviceId) },
      "errors": faults.isEmpty ? nil : .array(faults.map { Self.json($0, [:]) }),
    ])
  }

  /// A fault; one of the row as a whole has no pointer.
  fileprivate static func json(_ fault: JSONFault, _ place: JSONObject) -> JSON {
    var object = place
    if !fault.pointer.isEmpty { object["pointer"] = .string(fault.pointer) }
    object["message"] = .string(fault.message)
    return .object(object)
  }
}

extension JSONFaults {
  /// The most faults that are told of one row.
  private static let maximumOfRow = 20

  /// Bounded, so that one row cannot fill a report.
  public var ofRow: JSONFaults {
    // With one that says how many more there are it is that many already.
    if faults.count <= Self.maximumOfRow + 1 { return self }
    let more = JSONFault(pointer: "", message: "has \(faults.count - Self.maximumOfRow) more faults")
    return JSONFaults(faults.prefix(Self.maximumOfRow) + [more])
  }
}

/// What has become of all rows.
public struct ImportSummary: Sendable {
  /// The most faults that it names.
  static let maximumErrors = 1000

  private let isDryRun: Bool
  private var (created, updated, unchanged, failed) = (0, 0, 0, 0)
  private var errors: [JSON] = []
  private var omitted = 0

  public init(isDryRun: Bool) { self.isDryRun = isDryRun }

  /// Forgets all rows.
  public mutating func reset() { self = ImportSummary(isDryRun: isDryRun) }

  public mutating func add(_ result: ImportResult) {
    switch result.outcome {
    case .created: created += 1
    case .updated: updated += 1
    case .unchanged: unchanged += 1
    case .failed(let faults):
      failed += 1
      for fault in faults {
        guard errors.count < Self.maximumErrors else {
          omitted += 1
          continue
        }
        errors.append(
          ImportResult.json(fault, ["row": .int(Int64(result.row)), "line": .int(Int64(result.line))]))
      }
    }
  }

  /// As the API writes it.
  public var json: JSON {
    [
      "dryRun": .bool(isDryRun), "rows": .int(Int64(created + updated + unchanged + failed)),
      "created": .int(Int64(created)), "updated": .int(Int64(updated)), "unchanged": .int(Int64(unchanged)),
      "failed": .int(Int64(failed)), "errors": .array(errors), "errorsOmitted": .int(Int64(omitted)),
    ]
  }
}

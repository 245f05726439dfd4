import Wire

/// How the rows of an import are written.
public enum ImportFormat: Sendable {
  /// A JSON object on each line.
  case ndjson
  /// A header, then a record for each device.
  case csv
}

/// One row of an import.
public struct ImportRow: Sendable {
  /// Counted from 1.
  public let row: Int
  /// Of the file, from 1; that on which it begins.
  public let line: Int
  /// Its bytes in the file.
  public let size: Int
  /// The body that a POST of it would have, or what is wrong with it.
  public let body: Result<JSON, JSONFaults>
}

/// Reads the rows of an import one after the other.
public struct ImportReader: Sendable {
  /// The most rows of one import.
  public static let maximumRows = 100_000
  /// The most bytes of a row, as of the body of a POST.
  public static let maximumSize = 1 << 20

  private var scanner: RecordScanner
  private let header: ImportHeader?
  private var row = 0

  /// - Throws: what is wrong with the header; the pointers name its columns.
  public init(_ bytes: [UInt8], _ format: ImportFormat) throws(JSONFaults) {
    let bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
    switch format {
    case .ndjson: (header, scanner) = (nil, RecordScanner(bytes))
    case .csv: (header, scanner) = try ImportHeader.read(bytes)
    }
  }

  /// Whether more rows have been read or skipped than an import may have.
  public var isTooLong: Bool { row > Self.maximumRows }

  /// Skips rows, some MiB at a time.
  /// - Returns: whether more may follow.
  public mutating func skip() -> Bool {
    let start = scanner.position
    while !isTooLong, scanner.position - start < 4 << 20 {
      guard scanner.next() != nil else { return false }
      row += 1
    }
    return !isTooLong
  }

  /// The next row; nil at the end.
  public mutating func next() -> ImportRow? {
    guard let record = scanner.next() else { return nil }
    row += 1
    return ImportRow(
      row: row, line: record.lines.lowerBound, size: record.bytes.count, body: body(record))
  }

  private func body(_ record: RecordScanner.Record) -> Result<JSON, JSONFaults> {
    if record.bytes.count > Self.maximumSize { return .failure(record.fault("is longer than 1 MiB")) }
    if let header { return header.body(record) }
    do throws(JSONError) { return .success(try JSON(parsing: Array(record.bytes))) } catch {
      return .failure(
        JSONFaults([JSONFault(pointer: error.pointer, message: "is not valid JSON: \(error.message)")]))
    }
  }
}

extension RecordScanner.Record {
  /// A fault of the whole record; of one that goes over lines with these, since a quote may be to blame.
  fileprivate func fault(_ message: String) -> JSONFaults {
    let place = lines.count > 1 ? " (it goes from line \(lines.lowerBound) to line \(lines.upperBound))" : ""
    return JSONFaults([JSONFault(pointer: "", message: message + place)])
  }

  fileprivate func cells(delimiter: UInt8) throws(JSONFaults) -> [String] {
    if isOpen { throw fault("has quotes that are not closed") }
    do { return try CSVRecord.cells(of: bytes, delimiter: delimiter) } catch { throw fault(error.message) }
  }
}

/// The header of an import in CSV: which column is what.
struct ImportHeader: Sendable {
  fileprivate enum Column {
    case field(String)
    case metadata(String)
    /// A cell that holds JSON.
    case json(String)
  }

  private static let fields = ["mcuId", "boardId", "organisationId", "deviceId", "networkId", "name"]
  private static let required = ["mcuId", "boardId"]
  private static let initialState = "initialDeviceState"
  private static let metadata = "metadata."

  /// The most columns: more than all fields and metadata that a device can have.
  private static let maximumColumns = 256

  private let columns: [Column]
  private let delimiter: UInt8

  /// - Returns: the header, and what follows it.
  static func read(_ bytes: ArraySlice<UInt8>) throws(JSONFaults) -> (ImportHeader?, RecordScanner) {
    let line = bytes.prefix(ImportReader.maximumSize).prefix { $0 != UInt8(ascii: "\n") }
    let commas = line.count { $0 == UInt8(ascii: ",") }
    let semicolons = line.count { $0 == UInt8(ascii: ";") }
    let delimiter = UInt8(ascii: semicolons > commas ? ";" : ",")
    var scanner = RecordScanner(bytes, delimiter: delimiter)
    guard let record = scanner.next(), record.lines.lowerBound == 1 else {
      throw JSONFaults([JSONFault(pointer: "", message: "has no header: its first line names the columns")])
    }
    if record.bytes.count > ImportReader.maximumSize {
      throw record.fault("has a header that is longer than 1 MiB")
    }
    return (try ImportHeader(try record.cells(delimiter: delimiter), delimiter), scanner)
  }

  private init(_ names: [String], _ delimiter: UInt8) throws(JSONFaults) {
    if names.count > Self.maximumColumns {
      throw JSONFaults([
        JSONFault(
          pointer: "", message: "has \(names.count) columns; \(Self.maximumColumns) are the most")
      ])
    }
    var columns: [Column] = []
    var seen: Set<ExactText> = []
    var faults: [JSONFault] = []
    for (index, cell) in names.enumerated() {
      let name = cell.trimmed
      guard let column = Self.column(name) else {
        let known = (Self.fields + [Self.initialState, "metadata.<field>"]).joined(separator: ", ")
        faults.append(
          JSONFault(
            pointer: "/\(index)",
            message:
              "the column “\(name.unicodeScalars.prefix(80).map(String.init).joined())” is not known; there are \(known)"
          ))
        continue
      }
      if !seen.insert(ExactText(column.name)).inserted {
        faults.append(JSONFault(pointer: "/\(index)", message: "the column \(column.name) stands twice"))
      }
      columns.append(column)
    }
    for name in Self.required where !seen.contains(ExactText(name)) {
      faults.append(JSONFault(pointer: "", message: "the column \(name) is missing"))
    }
    if !faults.isEmpty { throw JSONFaults(Array(faults.prefix(100))) }
    (self.columns, self.delimiter) = (columns, delimiter)
  }

  private static func column(_ name: String) -> Column? {
    let lower = name.lowercased()
    if let field = fields.first(where: { $0.lowercased() == lower }) { return .field(field) }
    if lower == initialState.lowercased() { return .json(initialState) }
    let parts = name.utf8.prefix(metadata.utf8.count)
    guard String(decoding: parts, as: UTF8.self).lowercased() == metadata,
      name.utf8.count > metadata.utf8.count
    else { return nil }
    return .metadata(String(decoding: name.utf8.dropFirst(metadata.utf8.count), as: UTF8.self))
  }

  /// The body that a POST of the record would have; empty cells are absent.
  fileprivate func body(_ record: RecordScanner.Record) -> Result<JSON, JSONFaults> {
    let cells: [String]
    do throws(JSONFaults) { cells = try record.cells(delimiter: delimiter) } catch { return .failure(error) }
    guard cells.count == columns.count else {
      return .failure(record.fault("has \(cells.count) cells; the header has \(columns.count)"))
    }
    var body: [Named<JSON>] = []
    var metadata: [Named<JSON>] = []
    for (column, cell) in zip(columns, cells) where !cell.isEmpty {
      switch column {
      case .field(let name): body.append(Named(name: name, value: .string(cell)))
      case .metadata(let name): metadata.append(Named(name: name, value: .string(cell)))
      case .json(let name):
        do throws(JSONError) { body.append(Named(name: name, value: try JSON(parsing: cell))) } catch {
          return .failure(
            JSONFaults([
              JSONFault(
                pointer: "/\(name)\(error.pointer)", message: "is not valid JSON: \(error.message)")
            ]))
        }
      }
    }
    if !metadata.isEmpty { body.append(Named(name: "metadata", value: .object(JSONObject(metadata)))) }
    return .success(.object(JSONObject(body)))
  }
}

extension ImportHeader.Column {
  fileprivate var name: String {
    switch self {
    case .field(let name), .json(let name): name
    case .metadata(let name): "metadata." + name
    }
  }
}

extension String {
  fileprivate var trimmed: String {
    let isBlank = { (scalar: Unicode.Scalar) in scalar == " " || scalar == "\t" || scalar == "\r" }
    let scalars = unicodeScalars.drop(while: isBlank)
    let kept = scalars.reversed().drop(while: isBlank).reversed()
    return kept.reduce(into: "") { $0.unicodeScalars.append($1) }
  }
}

/// Takes a record of comma-separated values (RFC 4180) apart.
struct CSVRecord {
  struct Fault: Error { let message: String }

  private let bytes: ArraySlice<UInt8>
  private let delimiter: UInt8
  private var position: Int

  /// - Parameter record: without the end of its last line, and with its quotes closed.
  private init(_ record: ArraySlice<UInt8>, delimiter: UInt8) {
    bytes = record.withoutReturn
    (self.delimiter, position) = (delimiter, bytes.startIndex)
  }

  /// - Throws: the first thing that is wrong with it.
  static func cells(of record: ArraySlice<UInt8>, delimiter: UInt8) throws(Fault) -> [String] {
    var reader = CSVRecord(record, delimiter: delimiter)
    var cells: [String] = []
    while true {
      cells.append(reader.isQuote(reader.position) ? try reader.quotedCell() : try reader.plainCell())
      guard reader.position < reader.bytes.endIndex else { return cells }
      // A delimiter at the very end is followed by an empty cell.
      reader.position += 1
    }
  }

  private func isQuote(_ index: Int) -> Bool { index < bytes.endIndex && bytes[index] == UInt8(ascii: "\"") }

  private mutating func plainCell() throws(Fault) -> String {
    let start = position
    while position < bytes.endIndex, bytes[position] != delimiter { position += 1 }
    let cell = bytes[start..<position]
    if cell.contains(UInt8(ascii: "\"")) {
      throw Fault(message: "has a quote in a cell that does not begin with one")
    }
    return try text(cell)
  }

  private mutating func quotedCell() throws(Fault) -> String {
    position += 1
    var cell: [UInt8] = []
    while position < bytes.endIndex {
      if isQuote(position) {
        guard isQuote(position + 1) else { break }
        position += 1
      }
      cell.append(bytes[position])
      position += 1
    }
    position += 1
    if position < bytes.endIndex, bytes[position] != delimiter {
      throw Fault(message: "has something after the closing quote of a cell")
    }
    return try text(cell[...])
  }

  private func text(_ cell: ArraySlice<UInt8>) throws(Fault) -> String {
    guard let text = String(validating: cell, as: UTF8.self) else {
      throw Fault(message: "is not valid UTF-8")
    }
    if cell.contains(0) { throw Fault(message: "holds U+0000, which cannot be stored") }
    return text
  }
}

/// Finds where each record of a file begins and ends, and looks no further into it: what is too long is never taken apart,
/// and records can be counted in one pass.
struct RecordScanner: Sendable {
  struct Record: Sendable {
    /// Without the end of its last line.
    let bytes: ArraySlice<UInt8>
    /// On which it stands, the first of the file being 1.
    let lines: ClosedRange<Int>
    /// It has quotes that are not closed.
    let isOpen: Bool
  }

  private let bytes: ArraySlice<UInt8>
  /// Of the cells, in which quotes may hold ends of lines; nil if each line is a record.
  private let delimiter: UInt8?
  private(set) var position: Int
  private var line = 1

  /// - Parameter bytes: without a byte order mark.
  init(_ bytes: ArraySlice<UInt8>, delimiter: UInt8? = nil) {
    (self.bytes, self.delimiter, position) = (bytes, delimiter, bytes.startIndex)
  }

  /// The next record that is not blank; nil at the end.
  mutating func next() -> Record? {
    while true {
      skipEmptyLines()
      guard position < bytes.endIndex else { return nil }
      let (start, first) = (position, line)
      let isOpen = goToEnd()
      let record = Record(bytes: bytes[start..<position], lines: first...line, isOpen: isOpen)
      if position < bytes.endIndex { position += 1 }
      line += 1
      if !isBlank(record.bytes) { return record }
    }
  }

  /// Fast: a file may hold millions of them.
  private mutating func skipEmptyLines() {
    let start = position - bytes.startIndex
    let (end, lines) = bytes.withUnsafeBufferPointer { bytes in
      var (at, lines) = (start, 0)
      while at < bytes.count {
        let isReturn = bytes[at] == UInt8(ascii: "\r") && at + 1 < bytes.count
        guard bytes[isReturn ? at + 1 : at] == UInt8(ascii: "\n") else { break }
        at += isReturn ? 2 : 1
        lines += 1
      }
      return (at, lines)
    }
    position += end - start
    line += lines
  }

  /// Goes to the end of the last line of the record, or of the file.
  private mutating func goToEnd() -> Bool {
    let offset = bytes.startIndex
    let result = bytes.withUnsafeBufferPointer { bytes in
      var (at, lines, isInQuotes, isCellStart) = (position - offset, 0, false, true)
      scan: while at < bytes.count {
        let byte = bytes[at]
        switch byte {
        case UInt8(ascii: "\n"):
          if !isInQuotes { break scan }
          lines += 1
        // Two of them within quotes close and open them again.
        case UInt8(ascii: "\"") where delimiter != nil:
          if isInQuotes {
            if at + 1 < bytes.count, bytes[at + 1] == byte { at += 1 } else { isInQuotes = false }
          } else {
            isInQuotes = isCellStart
          }
        default: break
        }
        isCellStart = byte == delimiter && !isInQuotes
        at += 1
      }
      return (at, lines, isInQuotes)
    }
    position = result.0 + offset
    line += result.1
    return result.2
  }

  private func isBlank(_ record: ArraySlice<UInt8>) -> Bool {
    if delimiter == nil { return record.allSatisfy { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 } }
    return record.withoutReturn.isEmpty || record.withoutReturn.elementsEqual("\"\"".utf8)
  }
}

extension ArraySlice<UInt8> {
  /// Without the CR of a line that ends with CR LF.
  var withoutReturn: ArraySlice<UInt8> { last == UInt8(ascii: "\r") ? dropLast() : self }
}

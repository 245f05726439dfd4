import FoundationEssentials

/// By hand, because Foundation goes through `sscanf` and `printf`, and each command's id is read and written a dozen
/// times on its way.
extension UUID {
  /// The id as the API writes it: lower case.
  public var text: String {
    String(unsafeUninitializedCapacity: 36) { text in
      write(to: text)
      return 36
    }
  }

  /// Appends the same.
  func append(to bytes: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { text in
      write(to: text)
      bytes.append(contentsOf: UnsafeBufferPointer(text))
    }
  }

  private func write(to text: UnsafeMutableBufferPointer<UInt8>) {
    withUnsafeBytes(of: uuid) { bytes in
      var position = 0
      for index in 0..<16 {
        if index == 4 || index == 6 || index == 8 || index == 10 {
          text[position] = UInt8(ascii: "-")
          position += 1
        }
        text[position] = Hex.digit(bytes[index] >> 4)
        text[position + 1] = Hex.digit(bytes[index] & 15)
        position += 2
      }
    }
  }

  /// Reads the record id by which a path names something: exactly as the API writes it, in lower case (SPEC, section 10).
  public init?(recordId text: String) {
    guard let id = UUID(text: text), !text.utf8.contains(where: { (0x41...0x46).contains($0) }) else {
      return nil
    }
    self = id
  }

  /// Reads the 36 characters of a UUID, in either case; nil if they are none.
  public init?(text: String) {
    var text = text
    guard let id = text.withUTF8({ UUID(utf8: $0) }) else { return nil }
    self = id
  }

  /// The same of bytes.
  init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
    guard bytes.count == 36 else { return nil }
    var uuid: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    let isValid = withUnsafeMutableBytes(of: &uuid) { uuid in
      var position = 0
      for index in 0..<16 {
        if index == 4 || index == 6 || index == 8 || index == 10 {
          guard bytes[position] == UInt8(ascii: "-") else { return false }
          position += 1
        }
        guard let high = Hex.value(bytes[position]), let low = Hex.value(bytes[position + 1]) else {
          return false
        }
        uuid[index] = high << 4 | low
        position += 2
      }
      return true
    }
    guard isValid else { return nil }
    self.init(uuid: uuid)
  }
}

/// How far a reader of live events is: the next offset of every partition of the topics that they come from. All that lies
/// below has been told, nothing else; so any replica can go on from it.
public struct EventPosition: Sendable, Equatable {
  /// By topic, then by partition.
  public private(set) var offsets: [[Int64]]

  public init(_ offsets: [[Int64]]) { self.offsets = offsets }

  /// The next offset; 0 for a partition that it does not know.
  public subscript(topic: Int, partition: Int) -> Int64 {
    topic < offsets.count && partition < offsets[topic].count ? offsets[topic][partition] : 0
  }

  /// Whether that record lies below.
  public func holds(_ event: LiveEvent) -> Bool { event.offset < self[event.topic, event.partition] }

  /// Goes past a record.
  public mutating func pass(_ topic: Int, _ partition: Int, _ offset: Int64) {
    guard topic < offsets.count, partition < offsets[topic].count else { return }
    offsets[topic][partition] = max(offsets[topic][partition], offset + 1)
  }

  /// Goes to where the other one is, where that is further; takes over partitions that have been added.
  public mutating func advance(to other: EventPosition) { combine(other) { max($0, $1) } }

  /// Goes back to where the other one is, where that is less far.
  public mutating func retreat(to other: EventPosition) { combine(other) { min($0, $1) } }

  private mutating func combine(_ other: EventPosition, _ choose: (Int64, Int64) -> Int64) {
    offsets = other.offsets.enumerated().map { topic, theirs in
      theirs.enumerated().map { choose(self[topic, $0], $1) }
    }
  }

  /// The same, so many records earlier.
  public func back(_ records: Int64) -> EventPosition {
    EventPosition(offsets.map { $0.map { max(0, $0 - records) } })
  }

  /// Whether it knows a partition that the other one does not.
  public func hasMorePartitions(than other: EventPosition) -> Bool {
    offsets.count != other.offsets.count || zip(offsets, other.offsets).contains { $0.count > $1.count }
  }

  /// How many records lie between it and the other one; `Int64.max` for what no count tells.
  public func distance(to other: EventPosition) -> Int64 {
    other.offsets.enumerated().reduce(0) { sum, topic in
      topic.element.enumerated().reduce(sum) {
        let (sum, isOver) = $0.addingReportingOverflow(max(0, $1.element - self[topic.offset, $1.offset]))
        return isOver ? .max : sum
      }
    }
  }

  /// Whether it is nowhere further than the other one.
  public func isWithin(_ other: EventPosition) -> Bool {
    !hasMorePartitions(than: other) && other.distance(to: self) == 0
  }
}

// As the id of an event.
extension EventPosition {
  private static let version: UInt8 = 1
  private static let longest = 64 * 1024

  /// The id: base64url of a version, the cluster, and for each topic its number of partitions and their offsets, as varints.
  public func write(cluster: UInt32, to out: inout [UInt8]) {
    var bytes: [UInt8] = [Self.version]
    bytes.reserveCapacity(200)
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: cluster >> shift)) }
    for partitions in offsets {
      Varint.append(UInt64(partitions.count), to: &bytes)
      for offset in partitions { Varint.append(UInt64(max(0, offset)), to: &bytes) }
    }
    Base64URL.append(bytes, to: &out)
  }

  public func text(cluster: UInt32) -> String {
    var bytes: [UInt8] = []
    write(cluster: cluster, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Reads an id; nil for what is none, or of another cluster or other topics.
  public init?(text: String, cluster: UInt32, topics: Int) {
    guard text.utf8.count <= Self.longest, let bytes = Base64URL.read(text), bytes.count > 5 else {
      return nil
    }
    guard bytes[0] == Self.version, bytes[1...4].reduce(0, { $0 << 8 | UInt32($1) }) == cluster else {
      return nil
    }
    var rest = bytes[5...]
    var offsets: [[Int64]] = []
    for _ in 0..<topics {
      guard let count = Varint.read(&rest), count <= rest.count else { return nil }
      var partitions: [Int64] = []
      for _ in 0..<count {
        guard let offset = Varint.read(&rest) else { return nil }
        partitions.append(offset)
      }
      offsets.append(partitions)
    }
    guard rest.isEmpty else { return nil }
    self.offsets = offsets
    // One position has one id: whatever else would read as it is none of ours.
    guard self.text(cluster: cluster) == text else { return nil }
  }
}

private enum Varint {
  static func append(_ value: UInt64, to bytes: inout [UInt8]) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(value))
  }

  /// At most 63 bits.
  static func read(_ bytes: inout ArraySlice<UInt8>) -> Int64? {
    var value: Int64 = 0
    for shift in stride(from: 0, to: 63, by: 7) {
      guard let byte = bytes.popFirst() else { return nil }
      value |= Int64(byte & 0x7F) << Int64(shift)
      if byte < 0x80 { return value }
    }
    return nil
  }
}

/// RFC 4648, section 5, without padding.
private enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  static func append(_ bytes: [UInt8], to out: inout [UInt8]) {
    var (bits, count): (UInt32, UInt32) = (0, 0)
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      count += 8
      while count >= 6 {
        count -= 6
        out.append(alphabet[Int(bits >> count) & 63])
      }
      bits &= (1 << count) - 1
    }
    if count > 0 { out.append(alphabet[Int(bits << (6 - count)) & 63]) }
  }

  static func read(_ text: String) -> [UInt8]? {
    var (bits, count): (UInt32, UInt32) = (0, 0)
    var bytes: [UInt8] = []
    for character in text.utf8 {
      guard let value = value(character) else { return nil }
      bits = (bits << 6 | value) & 0xFFFF
      count += 6
      guard count >= 8 else { continue }
      count -= 8
      bytes.append(UInt8(truncatingIfNeeded: bits >> count))
    }
    return bytes
  }

  private static func value(_ character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character) - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character) + 4
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}

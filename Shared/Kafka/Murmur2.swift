/// The hash by which Kafka's Java clients, and librdkafka's `murmur2` partitioners, choose a key's partition: 32-bit
/// MurmurHash2 with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
enum Murmur2 {
  /// The hash without its sign: modulo the number of partitions it is the partition.
  static func positive(_ key: [UInt8]) -> Int { Int(hash(key) & 0x7FFF_FFFF) }

  static func hash(_ key: [UInt8]) -> UInt32 {
    let factor: UInt32 = 0x5BD1_E995
    var hash = 0x9747_B28C ^ UInt32(truncatingIfNeeded: key.count)
    let whole = key.count & ~3
    for start in stride(from: 0, to: whole, by: 4) {
      var word = UInt32(key[start])
      for place in 1..<4 { word |= UInt32(key[start + place]) << (8 * UInt32(place)) }
      word &*= factor
      word ^= word >> 24
      hash = (hash &* factor) ^ (word &* factor)
    }
    if whole < key.count {
      for place in 0..<(key.count - whole) { hash ^= UInt32(key[whole + place]) << (8 * UInt32(place)) }
      hash &*= factor
    }
    hash ^= hash >> 13
    hash &*= factor
    return hash ^ (hash >> 15)
  }
}

extension String {
  /// FNV-1a over the UTF-8, 64 bits: a hash that is the same in every process, unlike Swift's own. Not for secrets.
  /// - Parameter basis: another one gives another hash.
  public func fnv1a(basis: UInt64 = 0xCBF2_9CE4_8422_2325) -> UInt64 {
    utf8.reduce(basis) { ($0 ^ UInt64($1)) &* 0x0100_0000_01B3 }
  }
}

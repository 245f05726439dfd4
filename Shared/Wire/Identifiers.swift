import FoundationEssentials

extension UUID {
  /// A record id: UUIDv7 (RFC 9562), ordered by time.
  ///
  /// The 12 bits after the milliseconds are the fraction of the millisecond (RFC 9562, section 6.2, method 3), so
  /// that ids of one process sort in the order in which they were made, without state.
  public static func v7(at time: Date = .now) -> UUID {
    let exact = time.timeIntervalSince1970 * 1000
    let milliseconds = UInt64(exact)
    let fraction = UInt16((exact - Double(milliseconds)) * 4096) & 0x0FFF
    let random = UInt64.random(in: 0...UInt64.max)
    func byte(_ shift: Int) -> UInt8 { UInt8(truncatingIfNeeded: milliseconds >> shift) }
    func noise(_ shift: Int) -> UInt8 { UInt8(truncatingIfNeeded: random >> shift) }
    return UUID(
      uuid: (
        byte(40), byte(32), byte(24), byte(16), byte(8), byte(0), 0x70 | UInt8(fraction >> 8),
        UInt8(truncatingIfNeeded: fraction), 0x80 | (noise(56) & 0x3F), noise(48), noise(40), noise(32),
        noise(24),
        noise(16), noise(8), noise(0)
      ))
  }
}

/// The forms of the suite's identifiers (SPEC, section 1).
public enum Identifier {
  /// 16 lower-case hex characters.
  public static func isDeviceId(_ text: String) -> Bool {
    text.utf8.count == 16
      && text.utf8.allSatisfy {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      }
  }

  /// `[A-Za-z0-9._:-]{1,64}`.
  public static func isMcuId(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { isAlphanumeric($0) || "._:-".utf8.contains($0) }
  }

  /// `[a-z0-9-]{2,40}`.
  public static func isSlug(_ text: String) -> Bool {
    (2...40).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        isAlphanumeric($0) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) || $0 == UInt8(ascii: "-")
      }
  }

  /// Slots, component keys, lanes: `[A-Za-z0-9._-]{1,64}`.
  public static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { isAlphanumeric($0) || "._-".utf8.contains($0) }
  }

  /// A device id that was not given: 64 random bits.
  public static func randomDeviceId() -> String {
    let random = UInt64.random(in: 0...UInt64.max)
    return String(unsafeUninitializedCapacity: 16) { text in
      for index in 0..<16 {
        text[index] = Hex.digit(UInt8(truncatingIfNeeded: random >> (60 - 4 * index)) & 15)
      }
      return 16
    }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"):
      true
    default: false
    }
  }
}

import FoundationEssentials

extension Date {
  /// RFC 3339 in UTC with milliseconds, the only form in which the suite writes a time.
  ///
  /// By arithmetic (Howard Hinnant's civil-from-days): a dozen of these are written for each command.
  public var rfc3339: String {
    let milliseconds = Int64((timeIntervalSince1970 * 1000).rounded(.down))
    let (days, ofDay) = milliseconds.quotientAndRemainder(dividingFloor: 86_400_000)
    let z = days + 719_468
    let (era, dayOfEra) = z.quotientAndRemainder(dividingFloor: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    var text: [UInt8] = []
    text.reserveCapacity(24)
    func put(_ number: Int64, _ width: Int, _ mark: Character) {
      var divisor = [1, 10, 100, 1000][width - 1] as Int64
      while divisor > 0 {
        text.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
        divisor /= 10
      }
      text.append(contentsOf: mark.utf8)
    }
    put(year, 4, "-")
    put(month, 2, "-")
    put(day, 2, "T")
    put(ofDay / 3_600_000, 2, ":")
    put(ofDay / 60_000 % 60, 2, ":")
    put(ofDay / 1000 % 60, 2, ".")
    put(ofDay % 1000, 3, "Z")
    return String(decoding: text, as: UTF8.self)
  }

  /// Reads a time of RFC 3339 with any offset and any number of fraction digits.
  public init?(rfc3339 text: String) {
    // `…Z` with or without a fraction, or with a numeric offset.
    for style in [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()] {
      if let date = try? style.parse(text) {
        self = date
        return
      }
    }
    return nil
  }

  /// The same time without what is finer than a millisecond: what a reader of the API gets back.
  public var wholeMilliseconds: Date {
    Date(timeIntervalSince1970: (timeIntervalSince1970 * 1000).rounded(.down) / 1000)
  }
}

extension Int64 {
  fileprivate func quotientAndRemainder(dividingFloor divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}

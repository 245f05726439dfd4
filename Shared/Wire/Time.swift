import FoundationEssentials

extension Date {
  /// RFC 3339 in UTC with milliseconds, the only form in which the suite writes a time.
  public var rfc3339: String {
    String(unsafeUninitializedCapacity: 24) { text in
      write(to: text)
      return 24
    }
  }

  /// Appends the same.
  func append(to bytes: inout [UInt8]) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 24) { text in
      write(to: text)
      bytes.append(contentsOf: UnsafeBufferPointer(text))
    }
  }

  /// By arithmetic (Howard Hinnant's civil-from-days): a dozen of these are written for each command.
  private func write(to text: UnsafeMutableBufferPointer<UInt8>) {
    let milliseconds = millisecondsSince1970
    let (days, ofDay) = milliseconds.quotientAndRemainder(dividingFloor: 86_400_000)
    let z = days + 719_468
    let (era, dayOfEra) = z.quotientAndRemainder(dividingFloor: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    var position = 0
    func put(_ number: Int64, _ width: Int, _ mark: Unicode.Scalar) {
      var rest = number
      for place in stride(from: position + width - 1, through: position, by: -1) {
        text[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      }
      text[position + width] = UInt8(ascii: mark)
      position += width + 1
    }
    put(year, 4, "-")
    put(month, 2, "-")
    put(day, 2, "T")
    put(ofDay / 3_600_000, 2, ":")
    put(ofDay / 60_000 % 60, 2, ":")
    put(ofDay / 1000 % 60, 2, ".")
    put(ofDay % 1000, 3, "Z")
  }

  /// Whole milliseconds since 1970, without what is finer.
  public var millisecondsSince1970: Int64 {
    // A millisecond that came from text is not exact as a Double: half a microsecond of tolerance.
    Int64((timeIntervalSince1970 * 1000 + 0.0005).rounded(.down))
  }

  /// Reads a time of RFC 3339 with any offset and any number of fraction digits; nil for anything else, also for
  /// the 30th of February. (Foundation's parser rolls such days over.)
  public init?(rfc3339 text: String) {
    var text = text
    guard let time = text.withUTF8({ Date(rfc3339: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = time
  }

  /// The same of UTF-8 bytes.
  public init?(rfc3339 bytes: UnsafeRawBufferPointer) {
    var reader = TimeReader(bytes: bytes)
    guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
      let day = reader.number(2), reader.take("T") || reader.take("t"), let hour = reader.number(2),
      reader.take(":"),
      let minute = reader.number(2), reader.take(":"), let second = reader.number(2),
      let fraction = reader.fraction(),
      let offset = reader.offset(), reader.isAtEnd
    else { return nil }
    guard (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day), hour < 24,
      minute < 60,
      second < 60
    else { return nil }
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    self.init(
      timeIntervalSince1970: Double(days * 86_400 + hour * 3600 + minute * 60 + second - offset) + fraction)
  }

  /// The same, where an address has turned the plus of an offset into a blank: one that was meant is taken for it.
  public init?(rfc3339InAddress text: String) {
    if let time = Date(rfc3339: text) {
      self = time
      return
    }
    var scalars = Array(text.unicodeScalars)
    guard scalars.count > 6, scalars[scalars.count - 6] == " " else { return nil }
    scalars[scalars.count - 6] = "+"
    self.init(rfc3339: scalars.reduce(into: "") { $0.unicodeScalars.append($1) })
  }

  private static func days(in month: Int, of year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// The same time without what is finer than a millisecond: what a reader of the API gets back.
  public var wholeMilliseconds: Date {
    Date(timeIntervalSince1970: Double(millisecondsSince1970) / 1000)
  }
}

/// The pieces of a time's text.
private struct TimeReader {
  let bytes: UnsafeRawBufferPointer
  var position = 0

  init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var isAtEnd: Bool { position == bytes.count }

  mutating func take(_ mark: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: mark) else { return false }
    position += 1
    return true
  }

  private mutating func digit() -> Int? {
    guard position < bytes.count else { return nil }
    let digit = bytes[position] &- UInt8(ascii: "0")
    guard digit < 10 else { return nil }
    position += 1
    return Int(digit)
  }

  mutating func number(_ digits: Int) -> Int? {
    var number = 0
    for _ in 0..<digits {
      guard let digit = digit() else { return nil }
      number = number * 10 + digit
    }
    return number
  }

  /// Zero if there is none; nil for a point without digits.
  mutating func fraction() -> Double? {
    guard take(".") else { return 0 }
    let start = position
    var (value, scale) = (0.0, 0.1)
    while let digit = digit() {
      value += Double(digit) * scale
      scale /= 10
    }
    return position > start ? value : nil
  }

  /// Seconds east of UTC.
  mutating func offset() -> Int? {
    if take("Z") || take("z") { return 0 }
    let east = take("+")
    guard east || take("-"), let hours = number(2), take(":"), let minutes = number(2), hours < 24,
      minutes < 60
    else { return nil }
    return (hours * 3600 + minutes * 60) * (east ? 1 : -1)
  }
}

extension Int64 {
  fileprivate func quotientAndRemainder(dividingFloor divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }
}

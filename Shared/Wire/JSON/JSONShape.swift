import FoundationEssentials

/// How to read one kind of value: what it must be, and a stand-in for when it is not.
public struct JSONShape<Value: Sendable>: Sendable {
  let placeholder: Value
  /// The second argument gives the value's JSON Pointer; it is asked only where there is a fault.
  let read: @Sendable (JSON, () -> String) -> Result<Value, JSONFaults>

  /// - Parameters:
  ///   - placeholder: what a faulty field gives; never seen past `finish()`.
  ///   - expected: what the value must be, for the message.
  ///   - convert: the value, or nil if it does not fit.
  public init(
    _ placeholder: Value, expected: @escaping @autoclosure @Sendable () -> String,
    _ convert: @escaping @Sendable (JSON) -> Value?
  ) {
    self.placeholder = placeholder
    read = { json, pointer in
      if let value = convert(json) { return .success(value) }
      return .failure(JSONFaults([JSONFault(pointer: pointer(), message: "must be \(expected())")]))
    }
  }

  init(placeholder: Value, read: @escaping @Sendable (JSON, () -> String) -> Result<Value, JSONFaults>) {
    self.placeholder = placeholder
    self.read = read
  }
}

extension JSONShape where Value == String {
  /// Text of so many characters: code points, as JSON Schema counts them, so that the bytes are bounded too.
  public static func string(_ length: ClosedRange<Int>) -> JSONShape {
    JSONShape("", expected: "a string of \(length.lowerBound) to \(length.upperBound) characters") {
      $0.string.flatMap { length.contains($0.unicodeScalars.count) ? $0 : nil }
    }
  }
  /// Text that satisfies `isValid`; `expected` says what that is.
  public static func string(matching expected: String, _ isValid: @escaping @Sendable (String) -> Bool)
    -> JSONShape
  {
    JSONShape("", expected: expected) { $0.string.flatMap { isValid($0) ? $0 : nil } }
  }
}

extension JSONShape where Value == Int {
  /// A whole number in a range, however it is written: 3.0 is one.
  public static func int(_ range: ClosedRange<Int>) -> JSONShape {
    JSONShape(range.lowerBound, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)") {
      $0.whole.flatMap { Int(exactly: $0) }.flatMap { range.contains($0) ? $0 : nil }
    }
  }
}

extension JSONShape where Value == Bool {
  /// True or false.
  public static var bool: JSONShape { JSONShape(false, expected: "true or false") { $0.bool } }
}

extension JSONShape where Value == UUID {
  /// A record id.
  public static var uuid: JSONShape {
    JSONShape(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)), expected: "a UUID") {
      $0.string.flatMap { UUID(text: $0) }
    }
  }
}

extension JSONShape where Value == Date {
  /// A time of RFC 3339.
  public static var time: JSONShape {
    JSONShape(
      Date(timeIntervalSince1970: 0), expected: "a time of RFC 3339, such as 2026-01-31T12:00:00.000Z"
    ) {
      $0.string.flatMap { Date(rfc3339: $0) }
    }
  }
}

extension JSONShape where Value == JSONObject {
  /// Any object, as it is.
  public static var object: JSONShape { JSONShape(JSONObject(), expected: "an object") { $0.object } }
}

extension JSONShape where Value == JSON {
  /// Any value, as it is.
  public static var any: JSONShape { JSONShape(.null, expected: "a value") { $0 } }
}

extension JSONShape where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// One of the words of an enumeration; `first` is the placeholder.
  public static func word(_ first: Value) -> JSONShape {
    JSONShape(first, expected: "one of \(Value.allCases.map(\.rawValue).joined(separator: ", "))") {
      $0.string.flatMap { Value(rawValue: $0) }
    }
  }
}

extension JSONShape {
  /// An object with fields of its own.
  /// - Parameter isClosed: whether its unknown fields are faults too. Not of what devices send: newer firmware may say more.
  public static func fields(
    _ placeholder: Value, isClosed: Bool = true, _ body: @escaping @Sendable (inout JSONFields) -> Value
  ) -> JSONShape<Value> {
    JSONShape(placeholder: placeholder) { json, pointer in
      var fields = JSONFields(json, at: pointer())
      let value = body(&fields)
      do throws(JSONFaults) {
        if isClosed { try fields.finish() } else if !fields.faults.isEmpty { throw JSONFaults(fields.faults) }
        return .success(value)
      } catch { return .failure(error) }
    }
  }

  /// An array of such values; each faulty element has its own pointer.
  public func array(_ count: ClosedRange<Int>) -> JSONShape<[Value]> {
    let element = self
    return JSONShape<[Value]>(placeholder: []) { json, pointer in
      guard let elements = json.array, count.contains(elements.count) else {
        let message = "must be an array of \(count.lowerBound) to \(count.upperBound) elements"
        return .failure(JSONFaults([JSONFault(pointer: pointer(), message: message)]))
      }
      var values: [Value] = []
      var faults: [JSONFault] = []
      for (index, json) in elements.enumerated() {
        switch element.read(json, { "\(pointer())/\(index)" }) {
        case .success(let value): values.append(value)
        case .failure(let found): faults += found.faults
        }
      }
      return faults.isEmpty ? .success(values) : .failure(JSONFaults(faults))
    }
  }

  /// An object whose members are all such values, in their order.
  public func members() -> JSONShape<[Named<Value>]> {
    let element = self
    return JSONShape<[Named<Value>]>(placeholder: []) { json, pointer in
      guard let object = json.object else {
        return .failure(JSONFaults([JSONFault(pointer: pointer(), message: "must be an object")]))
      }
      var values: [Named<Value>] = []
      var faults: [JSONFault] = []
      for member in object.members {
        switch element.read(member.value, { pointer() + "/" + JSONPointer.escape(member.name) }) {
        case .success(let value): values.append(Named(name: member.name, value: value))
        case .failure(let found): faults += found.faults
        }
      }
      return faults.isEmpty ? .success(values) : .failure(JSONFaults(faults))
    }
  }
}

/// A value with the name that a client gave it. A list of them and not a dictionary, whose keys would be compared by
/// canonical equivalence.
public struct Named<Value: Sendable>: Sendable {
  public let name: String
  public let value: Value

  public init(name: String, value: Value) { (self.name, self.value) = (name, value) }
}

import FoundationEssentials

/// One thing that is wrong with a body, and where.
public struct JSONFault: Error, Sendable, Equatable {
  /// JSON Pointer of the faulty value.
  public let pointer: String
  public let message: String

  public init(pointer: String, message: String) {
    self.pointer = pointer
    self.message = message
  }
}

/// All that is wrong with a body.
public struct JSONFaults: Error, Sendable, Equatable, CustomStringConvertible {
  public let faults: [JSONFault]
  public init(_ faults: [JSONFault]) { self.faults = faults }

  /// The first three, in words.
  public var description: String {
    faults.prefix(3).map { "\($0.pointer.isEmpty ? "the body" : $0.pointer) \($0.message)" }.joined(
      separator: "; ")
  }
}

/// Reads a JSON object field by field and collects every fault, so that a client sees all of them at once.
///
/// A faulty or missing field gives its shape's placeholder; `finish()` throws if there was any fault, or a field
/// that nobody asked for.
public struct JSONFields {
  private let members: JSONObject
  private let isObject: Bool
  private let pointer: String
  /// A list: there are few, and most readers never look at it.
  private var asked: [String] = []
  public private(set) var faults: [JSONFault] = []

  /// - Parameter pointer: where the object stands in the whole body.
  public init(_ value: JSON, at pointer: String = "") {
    self.pointer = pointer
    members = value.object ?? JSONObject()
    isObject = value.object != nil
    if !isObject {
      faults.append(JSONFault(pointer: pointer, message: "must be an object, is \(value.kind)"))
    }
  }

  /// The value of a field that has to be there.
  public mutating func required<T>(_ name: String, _ shape: JSONShape<T>) -> T {
    if let value = read(name, shape) { return value }
    if isObject, members[name] == nil { fail(name, "is missing") }
    return shape.placeholder
  }

  /// The value of a field that may be left out; null counts as left out.
  public mutating func optional<T>(_ name: String, _ shape: JSONShape<T>) -> T? {
    if members[name] == .null {
      asked.append(name)
      return nil
    }
    return read(name, shape)
  }

  /// Whether the field is there, null or not.
  public func has(_ name: String) -> Bool { members[name] != nil }

  /// Notes a fault found by the caller.
  public mutating func fail(_ name: String, _ message: String) {
    faults.append(JSONFault(pointer: pointer + "/" + JSONPointer.escape(name), message: message))
  }

  /// Notes a fault that was found in a value, which stands those steps below this object.
  public mutating func fail(_ path: [String], _ fault: JSONFault) {
    let steps = path.map { "/" + JSONPointer.escape($0) }.joined()
    faults.append(JSONFault(pointer: pointer + steps + fault.pointer, message: fault.message))
  }

  /// - Throws: every fault, fields that nobody asked for included.
  public consuming func finish() throws(JSONFaults) {
    for member in members.members where !asked.contains(where: member.name.isExactly) {
      fail(member.name, "is not a known field")
    }
    if !faults.isEmpty { throw JSONFaults(faults) }
  }

  private mutating func read<T>(_ name: String, _ shape: JSONShape<T>) -> T? {
    asked.append(name)
    guard let value = members[name] else { return nil }
    switch shape.read(value, { [pointer] in pointer + "/" + JSONPointer.escape(name) }) {
    case .success(let value): return value
    case .failure(let found):
      faults += found.faults
      return nil
    }
  }
}

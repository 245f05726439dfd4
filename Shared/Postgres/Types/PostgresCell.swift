/// One cell of a row.
public struct PostgresCell: Sendable {
  private let result: RawResult?
  private let bytes: Bytes?
  private let column: Int
  private let name: String?
  /// The type that the server says it has.
  public let type: PostgresType

  /// A view into `result`'s memory.
  ///
  /// `@unchecked Sendable`: the memory is never written, and it lives as long as `result`, which is kept beside it.
  private struct Bytes: @unchecked Sendable {
    let view: UnsafeRawBufferPointer
  }

  init(_ result: RawResult, row: Int, column: Int) {
    self.result = result
    self.column = column
    name = nil
    type = PostgresType(rawValue: result.type(column))
    bytes = result.bytes(row, column).map(Bytes.init)
  }

  /// A column that is not there; reading it says so.
  init(missing name: String) {
    result = nil
    bytes = nil
    column = -1
    self.name = name
    type = PostgresType(rawValue: 0)
  }

  private init(_ parent: PostgresCell, _ part: UnsafeRawBufferPointer?, _ type: PostgresType) {
    result = parent.result
    column = parent.column
    name = parent.name
    self.type = type
    bytes = part.map(Bytes.init)
  }

  /// Whether it is SQL's null.
  public var isNull: Bool { bytes == nil && result != nil }

  /// Reads the cell.
  /// - Throws: `PostgresError` of kind `.decoding`; its text names column and types, never the value.
  public func decode<T: PostgresDecodable>(_ type: T.Type = T.self) throws -> T { try T(postgres: self) }

  /// Gives the cell's binary form to `body`; the bytes may not be used after it.
  /// - Throws: what `body` throws, and a `.decoding` error if the cell is null.
  public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
    guard let bytes else { throw fault(result == nil ? "does not exist" : "is null") }
    return try withExtendedLifetime(result) { try body(bytes.view) }
  }

  /// A `.decoding` error about this column.
  public func fault(_ what: String) -> PostgresError {
    PostgresError(.decoding, "column \(name ?? result?.name(column) ?? "?") \(what)")
  }

  func unfitting<T>(_ wanted: T.Type) -> PostgresError {
    fault("of type \(type.rawValue) cannot be read as \(T.self)")
  }

  func element(_ part: UnsafeRawBufferPointer?, _ type: PostgresType) -> PostgresCell {
    PostgresCell(self, part, type)
  }
}

/// Reads binary forms with their bounds checked.
struct ByteReader {
  private var rest: Slice<UnsafeRawBufferPointer>
  private let cell: PostgresCell

  init(_ bytes: UnsafeRawBufferPointer, _ cell: PostgresCell) {
    rest = bytes[...]
    self.cell = cell
  }

  mutating func take(_ count: Int) throws -> UnsafeRawBufferPointer {
    guard count >= 0, count <= rest.count else { throw cell.fault("is cut short") }
    defer { rest = rest.dropFirst(count) }
    return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
  }

  mutating func integer<I: FixedWidthInteger>(_ type: I.Type) throws -> I {
    I(bigEndian: try take(MemoryLayout<I>.size).loadUnaligned(as: I.self))
  }
}

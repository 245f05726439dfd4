/// The number by which the server knows a type (`pg_type.oid`).
public struct PostgresType: RawRepresentable, Hashable, Sendable {
  /// The number.
  public let rawValue: UInt32
  /// A type by its number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  private init(_ number: UInt32) { rawValue = number }

  /// `boolean`
  public static let bool = PostgresType(16)
  /// `bytea`
  public static let bytea = PostgresType(17)
  /// `bigint`
  public static let int8 = PostgresType(20)
  /// `smallint`
  public static let int2 = PostgresType(21)
  /// `integer`
  public static let int4 = PostgresType(23)
  /// `text`
  public static let text = PostgresType(25)
  /// `json`
  public static let json = PostgresType(114)
  /// `real`
  public static let float4 = PostgresType(700)
  /// `double precision`
  public static let float8 = PostgresType(701)
  /// `date`
  public static let date = PostgresType(1082)
  /// `timestamp`
  public static let timestamp = PostgresType(1114)
  /// `timestamptz`
  public static let timestamptz = PostgresType(1184)
  /// `numeric`
  public static let numeric = PostgresType(1700)
  /// `uuid`
  public static let uuid = PostgresType(2950)
  /// `jsonb`
  public static let jsonb = PostgresType(3802)
  /// `boolean[]`
  public static let boolArray = PostgresType(1000)
  /// `bytea[]`
  public static let byteaArray = PostgresType(1001)
  /// `smallint[]`
  public static let int2Array = PostgresType(1005)
  /// `integer[]`
  public static let int4Array = PostgresType(1007)
  /// `text[]`
  public static let textArray = PostgresType(1009)
  /// `bigint[]`
  public static let int8Array = PostgresType(1016)
  /// `double precision[]`
  public static let float8Array = PostgresType(1022)
  /// `timestamptz[]`
  public static let timestamptzArray = PostgresType(1185)
  /// `uuid[]`
  public static let uuidArray = PostgresType(2951)
  /// `json[]`
  public static let jsonArray = PostgresType(199)
  /// `jsonb[]`
  public static let jsonbArray = PostgresType(3807)

  /// Types whose binary form is their text: text, varchar, char, name, unknown, xml, json, and every type that
  /// is not built in (enums and citext; a composite that is not text fails as invalid UTF-8 or reads oddly).
  var isTextual: Bool {
    switch rawValue {
    case 18, 19, 25, 114, 142, 705, 1042, 1043: true
    default: rawValue >= 16384
    }
  }
}

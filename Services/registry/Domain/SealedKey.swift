import Wire

/// A new API key in an answer that is kept for 24 h (`Idempotency-Key`): the key itself is nowhere stored, only what gives it
/// together with a secret of the service.
public enum SealedKey {
  /// The answer with what its key is under `pad` in the place of the key.
  /// - Parameters:
  ///   - pad: 32 bytes that nobody else can know, others for each key.
  ///   - hash: of the key, to tell later whether it has come out right.
  public static func close(_ answer: JSON, pad: [UInt8], hash: (String) -> String) -> JSON {
    guard var object = answer.object, let key = object["key"]?.string else { return answer }
    let bytes = [UInt8](hex: String(key.dropFirst(APIKey.prefix.count))) ?? []
    object["key"] = ["sealed": .string(zip(bytes, pad).map { $0 ^ $1 }.hex), "hash": .string(hash(key))]
    return .object(object)
  }

  /// The answer as it was; nil if the pad is not the one with which it was closed.
  public static func open(_ stored: JSON, pad: [UInt8], hash: (String) -> String) -> JSON? {
    guard var object = stored.object, let sealed = object["key"]?["sealed"]?.string,
      let bytes = [UInt8](hex: sealed)
    else { return stored }
    let key = APIKey.text(random: zip(bytes, pad).map { $0 ^ $1 })
    guard object["key"]?["hash"]?.string == hash(key) else { return nil }
    object["key"] = .string(key)
    return .object(object)
  }
}

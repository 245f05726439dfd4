import Crypto
import Testing
import Wire

@Suite struct CryptoTests {
  /// FIPS 180-4's examples and the empty message of NIST's CAVP set.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ]) func sha256(text: String, digest: String) {
    #expect(SHA256.hash(text).hex == digest)
    #expect(SHA256.hash(data: Array(text.utf8)).hex == digest)
  }

  @Test func sha256BitByBit() {
    var whole = SHA256()
    for _ in 0..<1000 { whole.update(data: [UInt8](repeating: 0x61, count: 1000)) }
    #expect(whole.finalize().hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    #expect(SHA256().finalize() == SHA256.hash([]))
  }

  /// RFC 4231, cases 1, 2 and 6.
  @Test func hmac() {
    #expect(
      HMAC.sha256(for: Array("Hi There".utf8), using: [UInt8](repeating: 0x0b, count: 20)).hex
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    #expect(
      HMAC.sha256(for: Array("what do ya want for nothing?".utf8), using: Array("Jefe".utf8)).hex
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      HMAC.sha256(
        for: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
        using: [UInt8](repeating: 0xaa, count: 131)
      ).hex == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    #expect(
      HMAC.sha256(for: [], using: []).hex
        == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
  }

  @Test func constantTime() {
    #expect(constantTimeEqual([], []))
    #expect(constantTimeEqual([1, 2, 3], [1, 2, 3]))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2, 4]))
    #expect(!constantTimeEqual([1, 2, 3], [1, 2]))
  }

  @Test func random() {
    #expect(SecureRandom.bytes(count: 32).count == 32)
    #expect(SecureRandom.bytes(count: 32) != SecureRandom.bytes(count: 32))
    #expect(SecureRandom.bytes(count: 0).isEmpty)
  }
}

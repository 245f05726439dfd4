import FoundationEssentials
import Testing
import Wire

@testable import S3

/// The examples of the S3 documentation: "Authenticating Requests: Using Query Parameters" and "Using the Authorization Header".
@Suite struct SigV4Tests {
  private let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
  private let host = "examplebucket.s3.amazonaws.com"
  private let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  private var credentials: S3Credentials {
    S3Credentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secret: secret, region: "us-east-1")
  }

  @Test("the presigned GET of the documentation")
  func presignedExample() throws {
    let day = try #require(Date(rfc3339: "2013-05-24T00:00:00Z"))
    let query = credentials.presign("GET", host: host, path: ["test.txt"], at: day, seconds: 86400)
    #expect(
      query == "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        + "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")
  }

  private func signature(
    _ method: String, _ path: [String], query: [(name: String, value: String)] = [],
    _ headers: [(name: String, value: String)], payload: String
  ) -> String {
    let common = [("host", host), ("x-amz-date", "20130524T000000Z"), ("x-amz-content-sha256", payload)]
    let request = SigV4.CanonicalRequest(
      method: method, path: path, query: query, headers: common + headers, payloadHash: payload)
    return SigV4.signature(
      request, at: "20130524T000000Z", in: .init(day: "20130524", region: "us-east-1"), secret: secret
    ).hex
  }

  @Test("the four examples with an Authorization header")
  func headerExamples() {
    #expect(
      signature("GET", ["test.txt"], [("range", "bytes=0-9")], payload: emptyHash)
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    let put = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")]
    #expect(
      signature(
        "PUT", ["test$file.text"], put,
        payload: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")
        == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    #expect(
      signature("GET", [], query: [("lifecycle", "")], [], payload: emptyHash)
        == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    #expect(
      signature("GET", [], query: [("prefix", "J"), ("max-keys", "2")], [], payload: emptyHash)
        == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
  }

  @Test("what it has signed it knows again, and nothing else")
  func verifying() throws {
    let now = Date(timeIntervalSince1970: 1_800_000_000)
    let path = ["bucket", "a b", "ü/é"]
    let headers = [("host", "h:1"), ("content-length", "3"), ("x-amz-checksum-sha256", "abc=")]
    let query = credentials.presign(
      "PUT", host: "h:1", path: path, query: [("x", "a b+c/ü")],
      headers: [("Content-Length", "3"), ("X-Amz-Checksum-Sha256", "abc=")], at: now, seconds: 60)
    let items = query.split(separator: "&").map { item in
      let parts = item.split(separator: "=", omittingEmptySubsequences: false).map {
        Self.decoded(String($0))
      }
      return (name: parts[0], value: parts[1])
    }
    let signed = items
    func verify(
      _ headers: [(String, String)], method: String = "PUT", path: [String] = ["bucket", "a b", "ü/é"],
      items: [(name: String, value: String)]? = nil, after: Double = 0, by signer: S3Credentials? = nil
    ) -> S3Refusal? {
      let request = S3Credentials.SignedRequest(
        method: method, path: path, query: items ?? signed, headers: headers.map { (name: $0.0, value: $0.1) }
      )
      do throws(S3Refusal) {
        _ = try (signer ?? credentials).verify(request, at: now + after)
        return nil
      } catch { return error }
    }
    #expect(verify(headers) == nil)
    #expect(verify(headers, after: 59.9) == nil)
    #expect(verify(headers, after: 60) == .expired)
    #expect(verify(headers, after: -901) == .notYet)
    #expect(verify(headers, method: "GET") == .signatureDoesNotMatch)
    #expect(verify(headers, path: ["bucket", "a b", "other"]) == .signatureDoesNotMatch)
    #expect(verify([("host", "h:2")] + headers.dropFirst()) == .signatureDoesNotMatch)
    #expect(verify([("host", "h:1"), ("content-length", "4"), headers[2]]) == .signatureDoesNotMatch)
    #expect(verify([headers[0], headers[1]]) == .signatureDoesNotMatch, "a signed header that is not sent")
    #expect(verify(headers + [headers[1]]) == .signatureDoesNotMatch, "one that is sent twice")
    #expect(verify(headers + [("x-amz-acl", "public-read")]) == .unsignedHeaders(["x-amz-acl"]))
    #expect(verify(headers + [("user-agent", "any")]) == nil)
    #expect(verify(headers, items: items + [("more", "1")]) == .signatureDoesNotMatch)
    let other = S3Credentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secret: "other", region: "us-east-1")
    #expect(verify(headers, by: other) == .signatureDoesNotMatch)
    let stranger = S3Credentials(accessKey: "other", secret: secret, region: "us-east-1")
    #expect(verify(headers, by: stranger) == .unknownKey)
    for index in items.indices where items[index].name.hasPrefix("X-Amz-") {
      var less = items
      less.remove(at: index)
      #expect(verify(headers, items: less) == .missingParameter(items[index].name))
      var changed = items
      changed[index].value = "x"
      #expect(verify(headers, items: changed) != nil)
      #expect(verify(headers, items: items + [items[index]]) == .missingParameter(items[index].name))
    }
  }

  @Test("the error document is XML, whatever the path was")
  func document() {
    let text = S3Refusal.noSuchKey.document(resource: "/a<&\">", request: "r")
    #expect(text.contains("<Code>NoSuchKey</Code>"))
    #expect(text.contains("<Resource>/a&lt;&amp;&quot;&gt;</Resource><RequestId>r</RequestId>"))
  }

  private static func decoded(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      bytes.append([UInt8](hex: String(decoding: rest.prefix(2), as: UTF8.self))?.first ?? 0)
      rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

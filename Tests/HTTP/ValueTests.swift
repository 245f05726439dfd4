import HTTP
import Testing

@Suite struct ValueTests {
  @Test(
    arguments: [
      ("/", [], []),
      ("/a/b", ["a", "b"], []),
      ("/a/", ["a", ""], []),
      ("//a", ["", "a"], []),
      ("/a%2Fb/%25/%c3%A9", ["a/b", "%", "é"], []),
      ("/a+b", ["a+b"], []),
      ("/%2e%2E/x", ["..", "x"], []),
      ("/x?", ["x"], []),
      ("/?a=1&b=&c&=d&&a=2", [], ["a=1", "b=", "c=", "=d", "a=2"]),
      ("/?q=a+b%2Bc%26%3D&x=1?2=3", [], ["q=a b+c&=", "x=1?2=3"]),
      ("http://host:8080/a?b=c", ["a"], ["b=c"]),
      ("HTTP://host", [], []),
      ("http://host?b=c", [], ["b=c"]),
      ("*", ["*"], []),
      ("/é", ["é"], []),
    ] as [(String, [String], [String])])
  func takesTargetsApart(target: String, path: [String], query: [String]) {
    let request = HTTPRequest(method: .get, target: target)
    #expect(!request.hasMalformedTarget)
    #expect(request.path == path)
    #expect(request.query.items.map { "\($0.name)=\($0.value)" } == query)
    #expect(request.target == target)
  }

  @Test(arguments: [
    "", "a", "/%", "/%4", "/%zz", "/%0", "/%00", "/a%00b", "/%C3", "/%ff", "/%C0%AF", "/%ED%A0%80", "/?a=%",
    "/?a=%00",
    "/?%ff=1", "/a b", "/a\u{7F}", "host:443", "http://", "http:///x", "ftp://host/x", "?a",
  ])
  func refusesBadTargets(target: String) {
    #expect(HTTPRequest(method: .get, target: target).hasMalformedTarget)
  }

  @Test func fieldsIgnoreCaseAndKeepOrder() {
    var fields: HTTPFields = ["Content-Type": "a", "X-Two": "1"]
    fields.append("x-two", "2")
    #expect(fields["CONTENT-type"] == "a")
    #expect(fields["X-TWO"] == "1")
    #expect(fields.values("X-Two") == ["1", "2"])
    #expect(fields["X"] == nil)
    fields["x-Two"] = "3"
    #expect(fields.map(\.value) == ["a", "3"])
    fields["content-type"] = nil
    #expect(fields.map(\.name) == ["X-Two"])
    fields["New"] = "n"
    #expect(fields["new"] == "n")
    // Only letters fold: "@" and "`" differ by the same bit.
    #expect(HTTPFields([.init("@", "1")])["`"] == nil)
  }

  @Test func queryKeepsRepeats() {
    let query = HTTPRequest(method: .get, target: "/?a=1&b=2&a=3").query
    #expect(query["a"] == "1")
    #expect(query["A"] == nil)
    #expect(query.values("a") == ["1", "3"])
  }

  @Test func methodsAreCaseSensitive() {
    for name in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"] {
      #expect(HTTPMethod(name).rawValue == name)
    }
    #expect(HTTPMethod("get") == .other("get"))
    #expect(HTTPMethod("GET") == .get)
  }
}

import HTTP
import Testing

@testable import Runtime

@Suite("Preconditions, RFC 9110")
struct PreconditionTests {
  private func status(_ headers: HTTPFields, _ current: String?) -> Int {
    do {
      try Precondition(HTTPRequest(method: .put, target: "/", headers: headers)).check(current)
      return 200
    } catch let problem as Problem { return problem.status } catch { return 0 }
  }

  @Test("of a change")
  func changes() {
    let cases: [(HTTPFields, String?, Int)] = [
      ([:], nil, 200), ([:], "\"1\"", 200),
      (["If-Match": "*"], "\"1\"", 200), (["If-Match": "*"], nil, 412),
      (["If-Match": "\"1\""], "\"1\"", 200), (["If-Match": "\"1\""], "\"2\"", 412),
      (["If-Match": "\"a,b\", \"2\""], "\"2\"", 200), (["If-Match": "\"a,\"\t,,\"1\""], "\"1\"", 200),
      (["If-Match": "W/\"1\""], "\"1\"", 412), (["If-Match": "\"1\""], nil, 412),
      (["If-None-Match": "*"], nil, 200), (["If-None-Match": "*"], "\"1\"", 412),
      (["If-None-Match": "\"1\", \"2\""], "\"3\"", 200), (["If-None-Match": "W/\"3\""], "\"3\"", 412),
      (["If-Match": "\"3\"", "If-None-Match": "\"2\""], "\"3\"", 200),
      (["If-Match": "1"], "\"1\"", 400), (["If-None-Match": "\"1"], "\"1\"", 400),
      (["If-Match": ""], "\"1\"", 400),
    ]
    for (headers, current, expected) in cases {
      #expect(status(headers, current) == expected, "\(headers) \(current ?? "nil")")
    }
    var two = HTTPFields()
    two.append("If-Match", "\"1\"")
    two.append("If-Match", "\"2\"")
    #expect(status(two, "\"2\"") == 200, "two lines are one list")
  }

  @Test("of a read: 304 if it is known, 412 if it is not the one that was meant")
  func reads() throws {
    let response = HTTPResponse(status: 200, headers: ["ETag": "\"3\""], body: .bytes([1]))
    func answer(_ headers: HTTPFields) throws -> HTTPResponse {
      try Precondition(HTTPRequest(method: .get, target: "/", headers: headers)).answer(response)
    }
    #expect(try answer([:]).status == 200)
    let known = try answer(["If-None-Match": "W/\"3\""])
    #expect(known.status == 304 && known.headers["ETag"] == "\"3\"")
    #expect(try answer(["If-None-Match": "\"4\""]).status == 200)
    #expect(throws: Problem.self) { try answer(["If-Match": "\"4\""]) }
  }
}

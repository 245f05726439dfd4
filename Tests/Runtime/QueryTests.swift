import HTTP
import Testing

@testable import Runtime

@Suite struct QueryTests {
  private func allow(_ target: String) throws {
    try HTTPRequest(method: .get, target: target).allow(query: ["status"], prefixes: ["metadata."])
  }

  @Test func takesWhatItKnows() throws {
    try allow("/x")
    try allow("/x?limit=1&cursor=a&organisationId=b&status=c&metadata.colour=d")
  }

  @Test(arguments: ["/x?state=a", "/x?Status=a", "/x?status=a&status=b", "/x?metadata=a"])
  func refusesTheRestAndSaysWhat(_ target: String) {
    let name = target.dropFirst(3).prefix { $0 != "=" }
    do {
      try allow(target)
      Issue.record("\(target) was taken")
    } catch let problem as Problem {
      #expect(problem.status == 400 && problem.detail.contains(name))
    } catch { Issue.record("\(error)") }
  }
}

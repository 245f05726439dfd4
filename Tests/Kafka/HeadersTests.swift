import Kafka
import Testing

@Suite struct HeadersTests {
  @Test func theyAreKeptInOrderAndTheLastOfANameCounts() {
    var headers: KafkaHeaders = [
      KafkaHeader("a", "1"), KafkaHeader("", "no name"), KafkaHeader("b", [UInt8]()),
    ]
    headers.append("a", "2")
    headers.append("ab", "ä")
    #expect(headers.all.map(\.name) == ["a", "", "b", "a", "ab"])
    #expect(headers.all.map(\.text) == ["1", "no name", "", "2", "ä"])
    #expect(headers["a"] == "2" && headers["ab"] == "ä" && headers[""] == "no name")
    #expect(headers["b"] == "" && headers.value(of: "b")?.isEmpty == true)
    #expect(headers["c"] == nil && headers["A"] == nil && headers.value(of: "abc") == nil)
    #expect(headers == KafkaHeaders(headers.all) && !headers.isEmpty)
    #expect(KafkaHeaders().isEmpty && KafkaHeaders() == [] && KafkaHeaders()["a"] == nil)
  }

  @Test func aCopyIsItsOwn() {
    let common: KafkaHeaders = [KafkaHeader("a", "1")]
    var own = common
    own.reserve(200)
    own.append("b", "2")
    #expect(common.all.count == 1 && own.all.count == 2 && own["a"] == "1")
  }
}

/// What was sent in one pipeline, up to its sync, and what came back. Pure.
///
/// libpq gives, for each step in order, its results and then an end; after a failure every further step is
/// `aborted`, up to the sync.
struct PipelineExchange {
  enum Step {
    case deallocate(String)
    case begin
    case prepare(StatementCache.Key, name: String)
    case query(StatementCache.Key)
    case sync
  }

  /// What a step's end means for the connection.
  enum Event {
    case deallocated(String)
    case prepared(StatementCache.Key, name: String)
    case notPrepared(StatementCache.Key, name: String)
    case ended
  }

  private(set) var steps: [Step] = []
  private var position = 0
  private var last: RawResult?
  private(set) var answers: [PostgresRows] = []
  private(set) var tags: [String] = []
  private(set) var failure: PostgresError?

  mutating func sent(_ step: Step) { steps.append(step) }

  /// A result has come. Gives what became known by it.
  mutating func received(_ result: RawResult) throws -> Event? {
    last = result
    switch result.status {
    case .pipelineEnd:
      position = steps.count
      return .ended
    case .failed:
      if failure == nil { failure = result.error }
    case .foreign:
      // libpq gives this result again and again: only the end of the connection leads out of it.
      throw PostgresError(.usage, "COPY is not supported")
    case .rows, .done, .empty, .aborted: break
    }
    return nil
  }

  /// A step's results are complete. Throws if there were none, which the protocol does not know.
  mutating func stepEnded() throws -> Event? {
    guard position < steps.count, let result = last else {
      throw PostgresError(.connection, "the server's answer is out of step")
    }
    defer {
      position += 1
      last = nil
    }
    let isRefused = result.status == .failed
    let isGood = result.status == .rows || result.status == .done || result.status == .empty
    switch steps[position] {
    // Refused means that it is not there.
    case .deallocate(let name): return isGood || isRefused ? .deallocated(name) : nil
    case .prepare(let key, let name):
      return isGood ? .prepared(key, name: name) : .notPrepared(key, name: name)
    case .query:
      answers.append(PostgresRows(result))
      tags.append(result.tag)
      return nil
    case .begin, .sync: return nil
    }
  }
}

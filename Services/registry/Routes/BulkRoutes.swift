import FilterLanguage
import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Threads
import Wire

struct BulkRoutes: Sendable {
  let registry: RegistryService

  private static let ndjson = "application/x-ndjson"

  /// Rows of NDJSON or CSV, each made, changed, left alone or refused.
  func importDevices(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(query: ["dryRun", "mode"], isList: false)
    let job = Import(
      mode: try mode(request), isDryRun: try request.bool("dryRun") ?? false,
      organisation: try context.scope(request), context: context)
    let format = try format(request)
    let isStreamed = request.headers["Accept"].map { $0.lowercased().contains(Self.ndjson) } == true
    let once = try await registry.idempotency.once(request, context, isJSON: false) { (summary: JSON) in
      var answer = HTTPResponse.json(summary)
      if isStreamed { answer.headers["Content-Type"] = Self.ndjson }
      return answer
    }
    let reader: ImportReader
    do throws(JSONFaults) { reader = try ImportReader(request.body, format) } catch {
      throw Problem(422, "The file's header does not fit: see errors.", errors: error.faults)
    }
    var rest = reader
    // Nearly always the lines tell.
    let hasMany = request.body.count { $0 == UInt8(ascii: "\n") } >= ImportReader.maximumRows
    while hasMany, rest.skip() { await Task.yield() }
    if rest.isTooLong {
      throw Problem(413, "An import has \(ImportReader.maximumRows) rows at most: send the rest as another.")
    }
    let hold = try await registry.idempotency.hold(once)
    if isStreamed { return streamed(job, reader, once, hold) }
    let answer = try await Self.while(hold) {
      let summary = Locked(ImportSummary(isDryRun: job.isDryRun))
      try await registry.run(job, of: reader) { progress in summary.withLock { $0.add(progress) } }
      let answer = summary.withLock { $0.json }
      try await registry.keep(answer, once)
      return answer
    }
    return try once.response(answer)
  }

  private static func `while`<Value: Sendable>(
    _ hold: IdempotencyHold?, _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    if let hold { try await hold.during(body) } else { try await body() }
  }

  /// A line for each row as it is done, then the summary. The lines of a dry run follow when it is over: its transaction
  /// must not wait for a client.
  private func streamed(
    _ job: Import, _ reader: ImportReader, _ once: Once<JSON>, _ hold: IdempotencyHold?
  ) -> HTTPResponse {
    .stream(["Content-Type": Self.ndjson], isEndless: false) { [registry] writer in
      try await Self.while(hold) {
        let (summary, kept) = (Locked(ImportSummary(isDryRun: job.isDryRun)), Locked<[[UInt8]]>([]))
        try await registry.run(job, of: reader) { progress in
          summary.withLock { $0.add(progress) }
          guard case .done(let results) = progress else { return kept.withLock { $0 = [] } }
          let lines = Self.lines(results.map(\.json))
          if job.isDryRun { kept.withLock { $0.append(lines) } } else { try await writer.write(lines) }
        }
        for lines in kept.withLock({ $0 }) { try await writer.write(lines) }
        let answer = summary.withLock { $0.json }
        // The answer has begun: that it cannot be kept changes nothing in it.
        _ = try? await registry.keep(answer, once)
        try await writer.write(Self.lines([answer]))
      }
    }
  }

  private func mode(_ request: HTTPRequest) throws -> ImportedDevice.Mode {
    guard let text = request.query["mode"] else { return .create }
    guard let mode = ImportedDevice.Mode(rawValue: text) else {
      throw Problem.badRequest("mode must be create or upsert.")
    }
    return mode
  }

  private func format(_ request: HTTPRequest) throws -> ImportFormat {
    let type = (request.headers["Content-Type"] ?? "").prefix { $0 != ";" && $0 != " " }.lowercased()
    switch type {
    case Self.ndjson, "application/ndjson": return .ndjson
    case "text/csv": return .csv
    default: throw Problem(415, "Send \(Self.ndjson) or text/csv, and say so as Content-Type.")
    }
  }

  /// Every device that the filters find, one on a line, as fast as the client takes them. It is read page by page, so that
  /// a client which stops reading holds nothing up.
  func exportDevices(_ request: HTTPRequest, _ context: RequestContext) async throws -> HTTPResponse {
    try request.allow(
      query: DeviceFilter.parameters, prefixes: [DeviceField.metadataPrefix], isList: false)
    let filter = try DeviceFilter(request, context)
    // Nobody asks how many there are.
    let begin = PageRequest(limit: 500, total: 0)
    let first = try await registry.devices(filter, begin)
    return .stream(["Content-Type": Self.ndjson], isEndless: false) { [registry] writer in
      var page = first
      while true {
        try await writer.write(Self.lines(page.items.map(\.json)))
        guard let next = page.next else { return }
        var request = begin
        request.after = next
        page = try await registry.devices(filter, request)
      }
    }
  }

  private static func lines(_ values: [JSON]) -> [UInt8] {
    values.reduce(into: []) { lines, value in
      lines += value.bytes
      lines.append(UInt8(ascii: "\n"))
    }
  }
}

extension ImportSummary {
  fileprivate mutating func add(_ progress: ImportProgress) {
    switch progress {
    case .begins: reset()
    case .done(let results): for result in results { add(result) }
    }
  }
}

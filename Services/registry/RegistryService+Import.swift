import FoundationEssentials
import Postgres
import RegistryDomain
import Runtime
import Synchronization
import Wire

/// What an import is to do, and for whom.
struct Import: Sendable {
  let mode: ImportedDevice.Mode
  let isDryRun: Bool
  /// The caller's organisation; nil for root.
  let organisation: UUID?
  let context: RequestContext

  /// So many rows are one transaction.
  static let rowsAtOnce = 500
}

/// How far an import is.
enum ImportProgress: Sendable {
  /// It begins; also a dry run that begins again, and what it told before does not count.
  case begins
  /// What has become of the next rows.
  case done([ImportResult])
}

extension RegistryService {
  /// Makes and changes the devices of an import, each row whole or not at all.
  ///
  /// It returns when Kafka has what the last rows told, as a create does. A dry run is one transaction which is taken back.
  /// - Parameter report: called with the results of some rows, in their order, when these are done.
  func run(
    _ job: Import, of reader: ImportReader, report: @escaping @Sendable (ImportProgress) async throws -> Void
  ) async throws {
    if job.isDryRun { return try await dryRun(job, reader, report) }
    try await report(.begins)
    let ahead = ImportAhead(ImportBatches(reader, job))
    let step = ImportStep(job: job, registry: self, ahead: ahead)
    var last = OutboxRecords([])
    while let batch = await ahead.next() {
      let results = try await done(batch) { batch in
        let (results, records) = try await database.withTransaction { connection in
          let done = try await step.run(batch, connection)
          return (
            done.results, done.records.isEmpty ? nil : try await outbox.tell(done.records, on: connection)
          )
        }
        if let records { last = records }
        return results
      }
      try await report(.done(results))
    }
    _ = try? await outbox.published(last)
  }

  private func dryRun(
    _ job: Import, _ reader: ImportReader, tries: Int = Self.tries,
    _ report: @escaping @Sendable (ImportProgress) async throws -> Void
  ) async throws {
    do {
      try await database.withTransaction { connection in
        try await report(.begins)
        let ahead = ImportAhead(ImportBatches(reader, job))
        let step = ImportStep(job: job, registry: self, ahead: ahead)
        while let batch = await ahead.next() {
          // A deadlock may be about what an earlier batch holds: then only the whole can be done again.
          let results = try await done(batch, tries: 1) { try await step.savepoint($0, connection) }
          try await report(.done(results))
        }
        throw DryRun()
      }
    } catch is DryRun {
    } catch let error as PostgresError where error.isWorthAnotherTry && tries > 1 {
      try await giveWay()
      try await dryRun(job, reader, tries: tries - 1, report)
    }
  }

  /// Keeps what an import came to, which is done by then, for when its request comes again.
  /// - Throws: as `Once.begin`, if another with this key was done meanwhile.
  func keep(_ summary: JSON, _ once: Once<JSON>) async throws {
    guard once.isKeyed else { return }
    try await database.withTransaction { connection in
      try await once.begin(on: connection)
      try await once.keep(summary, on: connection)
    }
  }

  /// Takes a dry run back.
  private struct DryRun: Error {}

  /// Does a batch, otherwise if it does not go so: without the rows that are in the way, or in halves. What the database
  /// refuses goes to the row that it refuses alone, too.
  /// - Parameter attempt: does it, or nothing of it.
  private func done(
    _ batch: ArraySlice<ImportCandidate>, tries: Int = Self.tries, looks: Int = Self.tries,
    _ attempt: (ArraySlice<ImportCandidate>) async throws -> [ImportResult]
  ) async throws -> [ImportResult] {
    do { return try await attempt(batch) } catch let set as SetAside where set.isMeanwhile && looks > 1 {
      return try await done(batch, tries: tries, looks: looks - 1, attempt)
    } catch let set as SetAside {
      return try await done(set.applied(to: batch), tries: tries, attempt)
    } catch let error as PostgresError where error.isWorthAnotherTry && tries > 1 {
      // Two imports of the same devices in another order; or somebody changes a group of many devices.
      try await giveWay()
      return try await done(batch, tries: tries - 1, attempt)
    } catch let error as PostgresError where batch.count == 1 {
      guard let refusal = error.refusal else { throw error }
      return batch.map { ImportResult($0.row, .failed(refusal.errors)) }
    } catch let error where error is NotTogether || (error as? PostgresError)?.isOfRows == true {
      guard batch.count > 1 else { throw error }
      let middle = batch.startIndex + batch.count / 2
      let first = try await done(batch[..<middle], tries: tries, attempt)
      return first + (try await done(batch[middle...], tries: tries, attempt))
    }
  }
}

extension PostgresError {
  /// Whether some of the rows may do.
  fileprivate var isOfRows: Bool { !isRetryable && !code.isEmpty }
}

/// A row that has been read.
struct ImportCandidate: Sendable {
  let row: ImportRow
  /// What it asks for, or what is wrong with it.
  var device: Result<ImportedDevice, JSONFaults>
}

/// Rows that cannot be done, found when the others were written already: all is taken back and done without them.
struct SetAside: Error {
  let faults: [Int: [JSONFault]]
  /// Others have made these devices since they were looked for: looked for again, they are there.
  var isMeanwhile = false

  func applied(to batch: ArraySlice<ImportCandidate>) -> ArraySlice<ImportCandidate> {
    var batch = batch
    for index in batch.indices {
      if let faults = faults[batch[index].row.row] { batch[index].device = .failure(JSONFaults(faults)) }
    }
    return batch
  }
}

/// Two rows mean the same device, and what the second means depends on what the first does.
struct NotTogether: Error {}

/// Reads rows and puts them together, as many as are one transaction. All rows of a batch are of one organisation, and
/// no two of them can mean one device, so that each is judged with those before it in the database.
struct ImportBatches {
  private var reader: ImportReader
  private let job: Import
  private var waiting: ImportCandidate?
  private var isBegun = false
  /// Bytes that were read since the loop had its turn.
  private var sinceYield = 0

  /// So many bytes of rows are one transaction, or one row.
  private static let maximumSize = 4 << 20
  private static let sizeBetweenYields = 256 << 10

  init(_ reader: ImportReader, _ job: Import) { (self.reader, self.job) = (reader, job) }

  /// The next rows; nil at the end. Others have their turn meanwhile.
  mutating func next() async -> ArraySlice<ImportCandidate>? {
    if !isBegun { (waiting, isBegun) = (await read(), true) }
    var batch: [ImportCandidate] = []
    var (deviceIds, mcuIds): (Set<String>, Set<String>) = ([], [])
    var (organisation, size): (UUID?, Int) = (nil, 0)
    while let candidate = waiting, batch.count < Import.rowsAtOnce {
      size += candidate.row.size
      if size > Self.maximumSize, !batch.isEmpty { break }
      if case .success(let device) = candidate.device {
        if organisation ?? device.new.device.organisationId != device.new.device.organisationId { break }
        organisation = device.new.device.organisationId
        let isFirst =
          mcuIds.insert(device.new.device.mcuId).inserted
          && (device.deviceId.map { deviceIds.insert($0).inserted } ?? true)
        if !isFirst { break }
      }
      batch.append(candidate)
      waiting = await read()
    }
    return batch.isEmpty ? nil : batch[...]
  }

  private mutating func read() async -> ImportCandidate? {
    guard let row = reader.next() else { return nil }
    sinceYield += row.size
    if sinceYield > Self.sizeBetweenYields {
      sinceYield = 0
      await Task.yield()
    }
    let device = row.body.flatMap { body -> Result<ImportedDevice, JSONFaults> in
      do throws(JSONFaults) {
        let device = try ImportedDevice(
          body, organisation: job.organisation, id: .v7(), at: .now.wholeMilliseconds)
        if let own = job.organisation, own != device.new.device.organisationId {
          throw JSONFaults([JSONFault(pointer: "/organisationId", message: "There is no such organisation.")])
        }
        return .success(device)
      } catch { return .failure(error.ofRow) }
    }
    return ImportCandidate(row: row, device: device)
  }
}

/// Reads the next rows while the database has those before them.
final class ImportAhead: Sendable {
  private enum State {
    case rest(ImportBatches)
    case read(ArraySlice<ImportCandidate>?, ImportBatches)
  }
  private let state: Mutex<State>

  init(_ batches: ImportBatches) { state = Mutex(.rest(batches)) }

  /// Reads them, unless they are read already.
  func read() async {
    guard case .rest(var batches) = state.withLock({ $0 }) else { return }
    let batch = await batches.next()
    state.withLock { $0 = .read(batch, batches) }
  }

  /// The next rows; nil at the end.
  func next() async -> ArraySlice<ImportCandidate>? {
    await read()
    return state.withLock { state in
      guard case .read(let batch, let rest) = state else { return nil }
      state = .rest(rest)
      return batch
    }
  }
}

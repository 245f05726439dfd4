import FoundationEssentials
import Loop
import Observability
import Threads
import Wire

/// When API keys were last used: noted by the request for nothing, told once in a while.
public final class KeyUses: Service {
  /// Tells of the last uses of keys, by their ids; what it throws on is told with the next.
  public typealias Tell = @Sendable ([UUID: Date]) async throws -> Void

  private let loop: EventLoop
  private let logger: Logger
  private let interval: Duration
  private let tell: Tell
  private let uses = Locked<[UUID: Date]>([:])

  public init(
    _ loop: EventLoop, _ logger: Logger, every interval: Duration = .seconds(30), tell: @escaping Tell
  ) {
    (self.loop, self.interval, self.tell) = (loop, interval, tell)
    self.logger = logger.labelled("key-uses")
  }

  /// For the services that have no table of keys: the registry is told.
  public convenience init(_ runtime: ServiceRuntime) {
    self.init(runtime.loop, runtime.logger) { uses in
      try await runtime.database.withTransaction { connection in
        _ = try await runtime.outbox.tell(UsedKeys(uses).events(by: runtime.name), on: connection)
      }
    }
  }

  func note(_ principal: Principal, at time: Date) {
    guard case .key(let id, _, _, _) = principal else { return }
    uses.withLock { $0[id] = time }
  }

  /// What has not been told yet.
  var waiting: [UUID: Date] { uses.withLock { $0 } }

  public func run() async throws {
    do {
      while true {
        try await loop.sleep(for: interval)
        await tellNow()
      }
    } catch {
      // A task of its own: this one is cancelled, and the last uses would be lost with it.
      await loop.task { await self.tellNow() }.value
      throw error
    }
  }

  private func tellNow() async {
    let told = uses.withLock { uses in
      defer { uses = [:] }
      return uses
    }
    guard !told.isEmpty else { return }
    do { try await tell(told) } catch {
      logger.warning("the uses of keys are told later", ["keys": "\(told.count)", "error": "\(error)"])
      uses.withLock { $0.merge(told) { max($0, $1) } }
    }
  }
}

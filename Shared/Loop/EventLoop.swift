import Glibc
import Synchronization
import Threads

/// One thread that polls descriptors, keeps timers, and runs every task and actor that was given to it, in turns.
///
/// It is a `TaskExecutor`: the tasks that start with it as their preferred executor stay on its thread, with their child
/// tasks and the default actors that they call. An actor that names `asUnownedSerialExecutor()` as its `unownedExecutor`
/// lives on it. What it runs must not block: `blocking` has a helper thread for that.
///
/// A turn: wait until something is ready or a timer is due; sources; timers; all jobs, and what they start; then those
/// that wait for the turn's end, and again all jobs, until nothing more passes; last, what flushes. So "what came in
/// this turn" is a batch that needs no timer.
///
/// `@unchecked Sendable`: the variables are the loop's thread's own (every method that touches them asserts that in debug
/// builds; before a thread runs it, whoever makes the loop is alone with it); everything else is constant, atomic or
/// behind the inbox's lock.
public final class EventLoop: TaskExecutor, @unchecked Sendable {
  /// What a task or an actor wants to run.
  struct Job {
    let job: UnownedJob
    /// It is an actor's that lives on the loop.
    let isActors: Bool
  }

  var jobs: [Job] = []
  var sources = SourceTable()
  var timers = TimerHeap()
  var ends: [TurnEnd] = []
  /// The time at which this turn began.
  public internal(set) var now = ContinuousClock.now
  /// How crowded it is.
  public internal(set) var load = Load()
  /// What all ticks count from.
  let origin = ContinuousClock.now
  var isOver = false

  private let actors = ActorExecutor()
  let epoll = Epoll()
  let helper = HelperThread()
  private let inbox = Locked(Inbox())
  private let bell = Bell()
  /// The thread's id; 0 as long as none runs the loop, `ended` when none will any more.
  private let thread = Atomic<UInt>(0)
  private static let ended: UInt = 1

  /// What other threads leave for the loop.
  private struct Inbox {
    var jobs: [Job] = []
    var calls: [@Sendable () -> Void] = []
    /// The loop waits, and has to be woken.
    var sleeps = false
    var isOver = false
    /// No thread will look in here any more.
    var isClosed = false
  }

  /// A loop that no thread runs yet.
  public init() {
    actors.owner = self
    watch(bell.descriptor, .reading) { [bell] _ in bell.silence() }
  }

  /// Whether the caller runs on the loop's thread.
  @inline(__always)
  public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

  // MARK: Running

  /// Runs the loop on the calling thread until `body`, which runs on it, has ended.
  public func run<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R {
    let result = Locked<Result<R, any Error>?>(nil)
    begin()
    task {
      do {
        let value = try await body()
        result.withLock { $0 = .success(value) }
      } catch { result.withLock { $0 = .failure(error) } }
      self.isOver = true
    }
    turns()
    guard let outcome = result.withLock({ $0 }) else { throw CancellationError() }
    return try outcome.get()
  }

  /// A loop on a thread of its own, until `shutdown`: for tests and tools.
  /// - Precondition: the system has room for a thread.
  public static func start(_ name: String) -> EventLoop {
    let loop = EventLoop()
    let isStarted = OwnThread.start(name) {
      loop.begin()
      loop.turns()
    }
    precondition(isStarted, "the system has no room for a thread")
    return loop
  }

  /// Ends the thread after this turn; what has not run by then never does. From any thread.
  public func shutdown() {
    let wakes = inbox.withLock { inbox in
      inbox.isOver = true
      defer { inbox.sleeps = false }
      return inbox.sleeps
    }
    if wakes { bell.ring() }
  }

  /// A task that runs on the loop. (A plain `Task {}` would leave it for the global pool.)
  @discardableResult
  public func task<R: Sendable>(
    _ body: sending @escaping @isolated(any) () async -> R
  ) -> Task<R, Never> {
    Task(executorPreference: self, operation: body)
  }

  /// The same for what can fail.
  @discardableResult
  public func task<R: Sendable>(
    throwing body: sending @escaping @isolated(any) () async throws -> R
  ) -> Task<R, any Error> {
    Task(executorPreference: self, operation: body)
  }

  /// Calls `body` on the loop: at once if the caller is on it, else as soon as it gets there. From any thread.
  /// - Returns: false when the loop has ended; then it is never called.
  @discardableResult
  public func execute(_ body: @escaping @Sendable () -> Void) -> Bool {
    if isCurrent {
      body()
      return true
    }
    return leave { $0.calls.append(body) }
  }

  // MARK: Executor

  public func enqueue(_ job: consuming ExecutorJob) { add(Job(job: UnownedJob(job), isActors: false)) }

  func add(_ job: Job) {
    if isCurrent { jobs.append(job) } else { leave { $0.jobs.append(job) } }
  }

  /// Ends the process unless the caller runs on the loop's thread.
  func checkIsolated() { precondition(isCurrent, "not on the loop's thread") }

  /// What an actor that lives on the loop has as its `unownedExecutor`. The actor must keep the loop.
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { actors.asUnownedSerialExecutor() }

  /// Whether a thread runs it.
  var isRunning: Bool { thread.load(ordering: .relaxed) > Self.ended }

  @discardableResult
  private func leave(_ put: (inout Inbox) -> Void) -> Bool {
    let (isTaken, wakes) = inbox.withLock { inbox in
      if inbox.isClosed { return (false, false) }
      put(&inbox)
      defer { inbox.sleeps = false }
      return (true, inbox.sleeps)
    }
    if wakes { bell.ring() }
    return isTaken
  }

  /// Takes what others have left. When that was nothing and nothing else is to be done, others ring from here on.
  /// - Returns: whether the loop may sleep.
  private func collect(beforeSleep: Bool) -> Bool {
    let (calls, mayRest) = inbox.withLock { inbox in
      if inbox.isOver { isOver = true }
      jobs.append(contentsOf: inbox.jobs)
      inbox.jobs.removeAll(keepingCapacity: true)
      inbox.sleeps = beforeSleep && inbox.calls.isEmpty && jobs.isEmpty && sources.again.isEmpty
      defer { inbox.calls.removeAll() }
      return (inbox.calls, inbox.sleeps)
    }
    for call in calls { call() }
    return mayRest
  }

  private func begin() {
    let isFree = thread.compareExchange(
      expected: 0, desired: UInt(pthread_self()), ordering: .sequentiallyConsistent
    ).exchanged
    precondition(isFree, "the loop runs already")
  }

  private func turns() {
    let (serial, task) = (asUnownedSerialExecutor(), asUnownedTaskExecutor())
    while true {
      spaceTurns()
      let mayRest = collect(beforeSleep: true)
      if isOver { break }
      wait(mayRest: mayRest)
      _ = collect(beforeSleep: false)
      fireTimers()
      repeat { drain(serial, task) } while passEnds()
      for flush in sources.flushes { flush.body() }
      flushOnce()
    }
    end()
  }

  /// The last act: who has asked for it is told, what others have left is done, what they leave later is refused.
  private func end() {
    for body in sources.endings.values { body() }
    let calls = inbox.withLock { inbox in
      inbox.isClosed = true
      defer { inbox.calls.removeAll() }
      return inbox.calls
    }
    for call in calls { call() }
    // The thread's id may become another thread's.
    thread.store(Self.ended, ordering: .sequentiallyConsistent)
  }

  /// Runs all jobs, and those that they enqueue.
  private func drain(_ serial: UnownedSerialExecutor, _ task: UnownedTaskExecutor) {
    var done = 0
    while done < jobs.count {
      let next = jobs[done]
      done += 1
      if next.isActors {
        next.job.runSynchronously(isolatedTo: serial, taskExecutor: task)
      } else {
        next.job.runSynchronously(on: task)
      }
    }
    jobs.removeAll(keepingCapacity: true)
  }
}

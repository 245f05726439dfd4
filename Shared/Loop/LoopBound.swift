/// A value that only a loop's thread touches, for types that have to be `Sendable` (the shape of NIO's `NIOLoopBoundBox`).
///
/// `@unchecked Sendable`: every access asserts, in release builds too, that it is on the loop's thread.
public final class LoopBound<Value>: @unchecked Sendable {
  /// The loop that it belongs to.
  public let loop: EventLoop
  private var stored: Value

  /// From anywhere: nobody else has it yet.
  public init(_ loop: EventLoop, _ value: sending Value) {
    self.loop = loop
    stored = value
  }

  /// For what the loop's thread has already, and nobody else: so that a task of the loop may come back to it.
  /// - Precondition: on the loop.
  public init(_ loop: EventLoop, confined value: Value) {
    loop.checkIsolated()
    self.loop = loop
    stored = value
  }

  /// The value.
  /// - Precondition: on the loop.
  public var value: Value {
    get {
      loop.checkIsolated()
      return stored
    }
    _modify {
      loop.checkIsolated()
      yield &stored
    }
  }
}

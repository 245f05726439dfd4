import Foundation
import TestSupport

/// Runs blocking work on a thread of its own: a blocked cooperative thread would stop the server's handlers too.
func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    Thread { continuation.resume(with: Result { try body() }) }.start()
  }
}

/// Sends the bytes on a new connection and reads until the server closes it.
func exchange(port: Int, _ text: String) async throws -> String {
  try await exchange(port: port, Array(text.utf8))
}

func exchange(port: Int, _ bytes: [UInt8]) async throws -> String {
  try await blocking {
    let socket = try RawSocket(port: port)
    try socket.send(bytes)
    return try socket.receiveToEnd()
  }
}

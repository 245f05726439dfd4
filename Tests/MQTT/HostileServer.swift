import Foundation
import TestSupport
import Threads

/// A TCP server that does not speak MQTT.
final class HostileServer: Sendable {
  enum Manner: String, Sendable, CaseIterable {
    /// Closes every connection at once.
    case closes
    /// Takes connections and says nothing.
    case silent
    /// Answers with bytes that mean nothing.
    case garbage
    /// Begins an answer and closes.
    case truncatedConnack
    /// Claims a packet of 256 MB.
    case hugeLength
    /// Accepts, then ends the connection with reason 139.
    case shutsDown
    /// Accepts, then sends a packet type that a server must not send.
    case unknownPacket

    var answer: [UInt8]? {
      switch self {
      case .closes, .silent: nil
      case .garbage: (0..<4_096).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
      case .truncatedConnack: [0x20, 0x03, 0x00]
      case .hugeLength: [0x20, 0xFF, 0xFF, 0xFF, 0x7F, 0x00]
      case .shutsDown: [0x20, 0x03, 0x00, 0x00, 0x00, 0xE0, 0x01, 0x8B]
      case .unknownPacket: [0x20, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00]
      }
    }
  }

  let port: Int
  private final class State: Sendable {
    let value = Locked<(connections: Int, open: [Int32])>((0, []))
  }
  private let state = State()
  private let listener: Int32

  init(_ manner: Manner) throws {
    port = try freePort()
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound == 0, listen(listener, 64) == 0 else { throw TestSupportError("cannot listen") }
    self.listener = listener
    Thread { [state] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        if let answer = manner.answer { _ = send(client, answer, answer.count, Int32(MSG_NOSIGNAL)) }
        state.value.withLock { state in
          state.connections += 1
          if manner == .silent || manner == .garbage || manner == .hugeLength {
            state.open.append(client)
          } else {
            usleep(1_000)
            close(client)
          }
        }
      }
    }.start()
  }

  var connections: Int { state.value.withLock { $0.connections } }

  /// Ends the thread too.
  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
    state.value.withLock { for client in $0.open { close(client) } }
  }
}

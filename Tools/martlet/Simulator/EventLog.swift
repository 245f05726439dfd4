import FoundationEssentials
import Glibc
import Wire

/// What happened on the devices, one JSON object a line; written a few times a second, so that a checker can read
/// along.
final class EventLog {
  private var buffer: [UInt8] = []
  private var millisecond: Int64 = 0
  private var time: [UInt8] = []
  private let file: Int32
  private static let limit = 256 * 1024

  /// - Parameter path: appended to; nil writes nothing.
  /// - Throws: when it cannot be opened.
  init(path: String?) throws {
    guard let path else {
      file = -1
      return
    }
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw SimulatorError("\(path): \(String(cString: strerror(errno)))") }
  }

  deinit { if file >= 0 { close(file) } }

  /// One line about a command; id and type stand as in the JSON that they came in.
  func command(_ event: StaticString, _ device: [UInt8], _ command: ReceivedCommand, isRepeat: Bool? = nil) {
    line(event, device) { buffer in
      buffer += #","id":""#.utf8
      buffer += command.idText
      buffer += #"","type":""#.utf8
      buffer += command.type
      buffer.append(UInt8(ascii: "\""))
      if let isRepeat { buffer += (isRepeat ? #","repeat":true"# : #","repeat":false"#).utf8 }
    }
  }

  /// One line about anything else.
  func other(_ event: StaticString, _ device: [UInt8], _ members: KeyValuePairs<String, JSON> = [:]) {
    line(event, device) { buffer in
      for (name, value) in members {
        buffer += ",\"\(name)\":".utf8
        buffer += value.bytes
      }
    }
  }

  private func line(_ event: StaticString, _ device: [UInt8], _ more: (inout [UInt8]) -> Void) {
    guard file >= 0 else { return }
    let now = Date.now
    let millisecond = Int64(now.timeIntervalSince1970 * 1000)
    if millisecond != self.millisecond {
      self.millisecond = millisecond
      time = Array(now.rfc3339.utf8)
    }
    buffer += #"{"event":""#.utf8
    buffer.append(contentsOf: UnsafeBufferPointer(start: event.utf8Start, count: event.utf8CodeUnitCount))
    buffer += #"","device":""#.utf8
    buffer += device
    buffer += #"","at":""#.utf8
    buffer += time
    buffer.append(UInt8(ascii: "\""))
    more(&buffer)
    buffer += "}\n".utf8
    if buffer.count >= Self.limit { flush() }
  }

  /// Writes what is there.
  func flush() {
    buffer.withUnsafeBytes { bytes in
      var done = 0
      while done < bytes.count, file >= 0 {
        let written = write(file, bytes.baseAddress?.advanced(by: done), bytes.count - done)
        if written < 0, errno == EINTR { continue }
        // A full disk: the log has nowhere to say so.
        guard written > 0 else { break }
        done += written
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}

/// Why the simulator does not run, in words.
public struct SimulatorError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

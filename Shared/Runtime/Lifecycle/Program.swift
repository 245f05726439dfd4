import FoundationEssentials
import Loop

#if canImport(Glibc)
  import Glibc
#endif

/// The frame of every executable: reads the settings, answers `--help`, and turns an error into one clear line and an
/// exit status.
public enum Program {
  /// Runs `body` with the settings that `read` has read, on a loop of the calling thread, and ends the process.
  /// - Parameter arguments: without the program's name.
  public static func run<Settings: Sendable>(
    _ program: String, about: String, arguments: [String] = Array(CommandLine.arguments.dropFirst()),
    settings read: (inout SettingsReader) -> Settings,
    body: @escaping @Sendable (Settings, EventLoop) async throws -> Void
  ) -> Never {
    var reader = SettingsReader(
      program: program, about: about, arguments: arguments, environment: ProcessInfo.processInfo.environment)
    let settings = read(&reader)
    do throws(SettingsError) { try reader.finish() } catch {
      if case .help = error { write(error.description, to: 1, exit: 0) }
      write(error.description, to: 2, exit: 64)
    }
    // While there is one thread. Cyrus SASL, which librdkafka starts, would load each of its mechanisms and what they need, a
    // whole database among it: 0.6 MB for logins that are not made here.
    setenv("SASL_PATH", "/var/empty", 0)
    let loop = EventLoop()
    do { try loop.run { try await body(settings, loop) } } catch {
      write("\(program): \(error)\n", to: 2, exit: 1)
    }
    exit(0)
  }

  /// Writes to standard output.
  public static func print(_ text: String) { put(text + "\n", to: 1) }

  /// Writes to standard error and ends the process.
  public static func fail(_ text: String, status: Int32) -> Never { write(text, to: 2, exit: status) }

  private static func write(_ text: String, to file: Int32, exit status: Int32) -> Never {
    put(text, to: file)
    exit(status)
  }

  private static func put(_ text: String, to file: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let written = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      guard written > 0 else { return }
      bytes.removeFirst(written)
    }
  }
}

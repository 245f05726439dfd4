import CRdKafka
import Glibc

/// What the command line asks for.
struct Arguments {
  static let help = """
    devkafka: an embedded Kafka broker for demos and tests (librdkafka's mock cluster)

    It keeps at most 5 MB per partition, in memory, and drops the oldest silently; nothing survives its end.
    Never use it for data. Consumer groups, commits and idempotent producers work; creating topics with settings
    does not: topics that clients ask for are created with 4 partitions. Its port is random.

    devkafka [--port-file FILE] [--topic NAME:PARTITIONS …]

      --port-file FILE         write the bootstrap address (host:port) to FILE, whole or not at all
      --topic NAME:PARTITIONS  create a topic; may be given several times
      --help                   show this

    The address is also the first line of standard output. It runs until SIGTERM or SIGINT.

    """

  var portFile: String?
  var topics: [(name: String, partitions: Int32)] = []

  /// `nil` after `--help`.
  init?(_ arguments: [String]) throws(Failure) {
    var rest = arguments[...]
    while let option = rest.popFirst() {
      switch option {
      case "--help", "-h": return nil
      case "--port-file":
        guard let file = rest.popFirst() else { throw Failure("--port-file needs a file") }
        portFile = file
      case "--topic":
        let parts = (rest.popFirst() ?? "").split(separator: ":")
        guard parts.count == 2, let count = Int32(parts[1]), count > 0 else {
          throw Failure("--topic needs NAME:PARTITIONS, such as orders:12")
        }
        topics.append((String(parts[0]), count))
      default: throw Failure("unknown option \(option); see devkafka --help")
      }
    }
  }
}

/// What stops the program, in words.
struct Failure: Error {
  let text: String
  init(_ text: String) { self.text = text }
}

func say(_ text: String, to descriptor: Int32 = 1) {
  _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
}

/// Writes beside the file and renames, so that who waits for the file never reads half of it.
func store(_ text: String, in file: String) throws(Failure) {
  let descriptor = open(file + ".new", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
  guard descriptor >= 0 else { throw Failure("cannot write \(file): \(String(cString: strerror(errno)))") }
  say(text, to: descriptor)
  close(descriptor)
  guard rename(file + ".new", file) == 0 else { throw Failure("cannot write \(file)") }
}

func run(_ arguments: Arguments) throws(Failure) {
  // Before the library starts its threads, so that they leave these signals to `sigwait`.
  var ends = sigset_t()
  sigemptyset(&ends)
  sigaddset(&ends, SIGTERM)
  sigaddset(&ends, SIGINT)
  pthread_sigmask(SIG_BLOCK, &ends, nil)

  guard let handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), nil, 0) else {
    throw Failure("librdkafka could not be started")
  }
  defer { rd_kafka_destroy(handle) }
  guard let cluster = rd_kafka_mock_cluster_new(handle, 1) else { throw Failure("no mock cluster") }
  defer { rd_kafka_mock_cluster_destroy(cluster) }
  for topic in arguments.topics {
    let code = rd_kafka_mock_topic_create(cluster, topic.name, topic.partitions, 1)
    guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure("cannot create the topic \(topic.name)") }
  }
  guard let address = rd_kafka_mock_cluster_bootstraps(cluster) else { throw Failure("no address") }
  let line = String(cString: address) + "\n"
  if let file = arguments.portFile { try store(line, in: file) }
  say(line)
  var signal: Int32 = 0
  sigwait(&ends, &signal)
}

do {
  if let arguments = try Arguments(Array(CommandLine.arguments.dropFirst())) {
    try run(arguments)
  } else {
    say(Arguments.help)
  }
} catch {
  say("devkafka: \(error.text)\n", to: 2)
  exit(64)
}

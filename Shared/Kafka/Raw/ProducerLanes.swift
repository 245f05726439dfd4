/// What waits to be handed to librdkafka, in lanes: the messages of a topic whose keys fall together.
///
/// A lane holds up nothing but itself: one whose partition is without a leader, or whose topic is not there, has its few
/// messages with the library, and the others go on. With six partitions a lane is a partition, with more a few of them.
struct ProducerLanes {
  typealias Slot = UnsafeMutablePointer<DeliveryBatch.Slot>

  /// As many as a topic of the suite has partitions, unless it was made with others.
  static let perTopic = 6
  /// Of one lane a message more is handed over only while librdkafka has fewer than this: what it cannot send, because
  /// five *messages* of its partition are on their way, makes its thread spin until they are there (2.0.2 counts
  /// messages where it means requests: 15,000 polls a second, a tenth of a core).
  static let mostFlying = 5
  /// What one lane may hand over at once: of its queue a lane that does not move takes no more.
  static let most = (messages: 1000, bytes: 512 * 1024)

  struct Lane {
    var waiting: [Slot] = []
    /// How many of `waiting` are gone already.
    var gone = 0
    /// How many librdkafka has.
    var flying = 0

    var isEmpty: Bool { gone == waiting.count }
    var first: Slot { waiting[gone] }

    mutating func removeFirst() {
      gone += 1
      if isEmpty {
        waiting.removeAll(keepingCapacity: gone < 1000)
        gone = 0
      } else if gone > 1000, gone > waiting.count / 2 {
        waiting.removeFirst(gone)
        gone = 0
      }
    }
  }

  private(set) var topics: [String] = []
  private var numbers: [String: Int] = [:]
  private var lanes: [Lane] = []
  /// Lanes in which something waits, each once.
  private var busy: [Int] = []
  /// How many librdkafka has of all.
  private(set) var flying = 0

  /// Whether nothing waits.
  var isEmpty: Bool { busy.isEmpty }

  /// The first lane of that topic.
  private mutating func base(of topic: String, after last: Int?) -> Int {
    if let last, topics[last / Self.perTopic] == topic { return last - last % Self.perTopic }
    if let number = numbers[topic] { return number * Self.perTopic }
    numbers[topic] = topics.count
    topics.append(topic)
    lanes += Array(repeating: Lane(), count: Self.perTopic)
    return lanes.count - Self.perTopic
  }

  /// Adds a batch, each message behind those of its key.
  mutating func add(_ batch: DeliveryBatch) {
    var last: Int?
    for (index, message) in batch.messages.enumerated() {
      let base = base(of: message.topic, after: last)
      let lane = base + (message.key.map { Murmur2.positive($0) % Self.perTopic } ?? 0)
      let slot = batch.slots + index
      slot.pointee.lane = lane
      if lanes[lane].isEmpty { busy.append(lane) }
      lanes[lane].waiting.append(slot)
      last = lane
    }
  }

  /// What became of one that was offered.
  enum Taken { case onItsWay(bytes: Int), refused, full }

  /// Offers what may go now, in each lane's order, until nothing more can be taken.
  mutating func push(_ take: (Slot, _ topic: Int) -> Taken) {
    let numbers = busy
    busy.removeAll(keepingCapacity: true)
    var isFull = false
    for number in numbers {
      if !isFull, lanes[number].flying < Self.mostFlying { isFull = push(number, take) }
      if !lanes[number].isEmpty { busy.append(number) }
    }
  }

  /// - Returns: whether nothing more can be taken.
  private mutating func push(_ number: Int, _ take: (Slot, _ topic: Int) -> Taken) -> Bool {
    var (count, bytes) = (0, 0)
    while !lanes[number].isEmpty, count < Self.most.messages, bytes < Self.most.bytes {
      switch take(lanes[number].first, number / Self.perTopic) {
      case .full: return true
      case .refused: break
      case .onItsWay(let size):
        lanes[number].flying += 1
        flying += 1
        bytes += size
      }
      count += 1
      lanes[number].removeFirst()
    }
    return false
  }

  /// A message that was on its way has its report.
  mutating func landed(_ lane: Int) {
    lanes[lane].flying -= 1
    flying -= 1
  }

  /// Forgets all that waits and flies.
  mutating func removeAll() {
    for index in lanes.indices { lanes[index] = Lane() }
    busy = []
    flying = 0
  }
}

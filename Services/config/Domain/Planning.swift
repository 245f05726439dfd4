import FoundationEssentials
import Wire

/// A change of bindings that is planned.
public struct PlannedChange: Sendable, Equatable {
  public let target: Target
  public let slot: String
  /// Nil to unbind.
  public let artefact: Artefact?
  public let priority: Int

  public init(target: Target, slot: String, artefact: Artefact?, priority: Int) {
    (self.target, self.slot, self.artefact, self.priority) = (target, slot, artefact, priority)
  }

  /// The binding that this makes of the present one: nil where there is none then, and the same where nothing changes.
  public func binding(from present: Binding?, at now: Date, by author: String) -> Binding? {
    guard let artefact else { return nil }
    return present?.changed(to: artefact, priority: priority, at: now, by: author)
      ?? Binding(target: target, to: artefact, priority: priority, at: now, by: author)
  }
}

/// What would change in a slot of a device.
public struct PlannedDifference: Sendable, Equatable {
  public let device: DeviceEntity
  public let path: String
  public let before: Candidate?
  public let after: Candidate?
  /// What is wrong with it: the content does not fit the profile's schema.
  public var fault: String?

  /// The same for the same difference, in every process.
  var text: String {
    "\(path) \(before?.artefact.id.text ?? "-") \(after?.artefact.id.text ?? "-") \(fault ?? "")\n"
  }
}

/// What changes of bindings would do: by the rule by which they do it.
public struct Planning: Sendable {
  /// The bindings of the targets that are changed, as they would be.
  private let changed: [Target: [ActiveBinding]]

  /// - Parameter present: the bindings of those targets as they are.
  public init(_ changes: [PlannedChange], to present: [Target: [ActiveBinding]], at now: Date) {
    changed = changes.reduce(into: present) { bindings, change in
      var list = bindings[change.target] ?? []
      let index = list.firstIndex { $0.binding.slot == change.slot }
      let old = index.map { list.remove(at: $0) }
      if let artefact = change.artefact, let next = change.binding(from: old?.binding, at: now, by: "") {
        list.append(ActiveBinding(next, profile: artefact.profile, artefact: artefact.reference))
      }
      bindings[change.target] = list
    }
  }

  /// What would change for a device, in the order of paths, and all that it would have then.
  /// - Parameter bindings: those of its targets as they are.
  public func differences(
    for device: DeviceEntity, among bindings: [Target: [ActiveBinding]]
  ) -> (changes: [PlannedDifference], after: [String: Candidate]) {
    let targets = Resolution.targets(of: device)
    var (present, planned): ([Target: [ActiveBinding]], [Target: [ActiveBinding]]) = ([:], [:])
    for target in targets {
      present[target] = bindings[target]
      planned[target] = changed[target] ?? bindings[target]
    }
    let before = Resolution.winners(for: device, among: present)
    let after = Resolution.winners(for: device, among: planned)
    let paths = Set(before.keys).union(after.keys).filter {
      before[$0]?.artefact.id != after[$0]?.artefact.id
    }
    let changes = paths.sorted().map {
      PlannedDifference(device: device, path: $0, before: before[$0], after: after[$0])
    }
    return (changes, after)
  }
}

/// The whole outcome of a plan, small enough to be kept: of each device a hash of what would change.
public struct PlanDigest: Sendable, Equatable {
  private static let width = 24
  /// 16 bytes of a record id, then 8 of the hash.
  public private(set) var bytes: [UInt8] = []

  public init() {}

  public init(bytes: [UInt8]) { self.bytes = bytes }

  /// Adds a device; in the order of record ids.
  public mutating func add(_ device: DeviceEntity, _ differences: [PlannedDifference]) {
    guard !differences.isEmpty else { return }
    let hash = differences.map(\.text).joined().fnv1a()
    withUnsafeBytes(of: device.id.uuid) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: hash.bigEndian) { bytes.append(contentsOf: $0) }
  }

  public var count: Int { bytes.count / Self.width }

  /// The devices for which the two are not the same, at most so many of them, and how many there are.
  public func differing(from other: PlanDigest, most: Int) -> (ids: [UUID], count: Int) {
    let (mine, others) = (Set(rows), Set(other.rows))
    let ids = Set(mine.symmetricDifference(others).map { Array($0.prefix(16)) })
    return (ids.prefix(most).compactMap(Self.id), ids.count)
  }

  private var rows: [ArraySlice<UInt8>] {
    stride(from: 0, to: bytes.count - bytes.count % Self.width, by: Self.width).map {
      bytes[$0..<$0 + Self.width]
    }
  }

  private static func id(_ bytes: [UInt8]) -> UUID? {
    guard bytes.count == 16 else { return nil }
    return bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
  }
}

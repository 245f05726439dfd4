/// How long to let more gather before the next batch is taken.
///
/// Nothing waits while little happens: a lone command goes through at once. Under load each stage would otherwise
/// take what has come since a moment ago and pay a round trip, a commit and a fetch for a handful of records; three
/// milliseconds there make batches of dozens, and leave the cores to everyone else.
public enum Gathering {
  /// The pause after a batch of so many.
  public static func pause(after count: Int) -> Duration { count < 8 ? .zero : .milliseconds(3) }
}

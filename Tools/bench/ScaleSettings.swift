import Runtime

/// What to measure of commands in great numbers.
struct ScaleSettings: Sendable {
  let stack: StackSettings
  let devices: Int
  let rate: Int
  let few: Int
  let open: Int
  let expiring: Int
  let seconds: Int

  init(_ settings: inout SettingsReader) {
    stack = StackSettings(&settings)
    devices = settings.int(
      "devices", default: 100_000, in: 100...1_000_000, help: "How many devices the campaign has.")
    rate = settings.int(
      "rate", default: 30_000, in: 60...1_000_000, help: "Its commands a minute, of the second half of them.")
    few = settings.int(
      "few", default: 10_000, in: 0...10_000_000, help: "How many commands are open at first.")
    open = settings.int("open", default: 1_000_000, in: 0...10_000_000, help: "And how many then.")
    expiring = settings.int(
      "expiring", default: 5000, in: 1...100_000, help: "How many deadlines pass in a second.")
    seconds = settings.int("seconds", default: 20, in: 1...600, help: "For how many seconds they do.")
  }
}

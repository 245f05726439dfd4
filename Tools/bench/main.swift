import FoundationEssentials
import Runtime

/// `martlet-bench`: measures the running stack; `make bench` starts stack and fleet around it.
let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "prepare":
  Program.run(
    "martlet-bench prepare",
    about: "Makes an organisation, a key, a board and devices, and writes their ids.",
    arguments: Array(arguments.dropFirst()), settings: { FleetSettings(&$0) }, body: Fleet.prepare)
case "commands":
  Program.run(
    "martlet-bench commands",
    about: "Measures whole command lifecycles, from POST to SUCCESS, with the fleet that `prepare` made.",
    arguments: Array(arguments.dropFirst()), settings: { BenchSettings(&$0) }, body: CommandsBench.run)
default:
  Program.run(
    "martlet-bench", about: "Measures the running stack: martlet-bench prepare, then martlet-bench commands.",
    arguments: arguments.isEmpty ? ["--help"] : arguments, settings: { _ in () }, body: { _, _ in })
}

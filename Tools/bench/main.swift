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
case "registry":
  Program.run(
    "martlet-bench registry",
    about: "Measures the registry with few devices and with a million, which it writes into the tables.",
    arguments: Array(arguments.dropFirst()), settings: { RegistrySettings(&$0) }, body: RegistryBench.run)
case "config":
  Program.run(
    "martlet-bench config",
    about: "Measures a binding of a board with 100,000 devices, which it writes into the tables.",
    arguments: Array(arguments.dropFirst()), settings: { ConfigBenchSettings(&$0) }, body: ConfigBench.run)
case "scale":
  Program.run(
    "martlet-bench scale",
    about: "Measures a campaign to a large fleet, and deadlines beside a million open commands.",
    arguments: Array(arguments.dropFirst()), settings: { ScaleSettings(&$0) }, body: ScaleBench.run)
default:
  Program.run(
    "martlet-bench",
    about:
      "Measures the running stack: martlet-bench prepare, then martlet-bench commands; or martlet-bench registry, config or scale.",
    arguments: arguments.isEmpty ? ["--help"] : arguments, settings: { _ in () }, body: { _, _ in })
}

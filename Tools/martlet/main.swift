import Runtime
import Simulator

let usage = """
  Martlet's command line.

  Usage: martlet <command> [--setting value …]

  Commands:
    simulate         run a fleet of simulated devices
    topics create    create the suite's Kafka topics; those that exist stay as they are

  `martlet <command> --help` explains the settings of each.

  """

var words = Array(CommandLine.arguments.dropFirst())
let command = words.isEmpty ? "" : words.removeFirst()
switch command {
case "simulate":
  Program.run(
    "martlet simulate", about: "Runs a fleet of simulated devices that obey commands and desired documents.",
    arguments: words, settings: { SimulatorSettings(&$0) },
    body: { try await SimulatedFleet($0, loop: $1).runUntilSignalled() })
case "topics": TopicsCommand.run(words)
case "--help", "-h", "help": Program.print(usage)
default:
  let what = command.isEmpty ? "" : "martlet: there is no command \(command)\n\n"
  Program.fail(what + usage, status: 64)
}

import CommandsService
import Runtime

Program.run(
  "martlet-commands",
  about: "Martlet's commands service: the lifecycle of every command, its deadlines, its redelivery.",
  settings: { CommandsSettings(&$0) }, body: CommandsService.run(_:on:))

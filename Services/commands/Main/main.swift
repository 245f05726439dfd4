import CommandsService
import Runtime

await Program.run(
  "martlet-commands",
  about: "Martlet's commands service: the lifecycle of every command, its deadlines, its redelivery.",
  settings: { CommandsSettings(&$0) }, body: CommandsService.run)

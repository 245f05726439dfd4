import ConfigService
import Runtime

Program.run(
  "martlet-config",
  about: "Martlet's config service: artefacts, bindings, and what each device should have and has.",
  settings: { ConfigSettings(&$0) }, body: ConfigService.run(_:on:))

import RegistryService
import Runtime

Program.run(
  "martlet-registry",
  about: "Martlet's registry: organisations, API keys, boards, devices, and the latest state of each device.",
  settings: { RegistrySettings(&$0) }, body: RegistryService.run(_:on:))

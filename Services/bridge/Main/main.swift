import BridgeService
import Runtime

Program.run(
  "martlet-bridge", about: "Martlet's bridge: carries messages between the devices' MQTT broker and Kafka.",
  settings: { BridgeSettings(&$0) },
  body: { try await BridgeService(settings: $0, loop: $1).run() })

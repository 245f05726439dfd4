import Foundation
import TestSupport
import Testing

@testable import BridgeService

/// Every configuration of the broker bounds what waits by bytes alone, and the bridge knows the number.
@Suite struct BrokerConfigurationTests {
  @Test func allSayTheSame() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
    let folder = root.appending(path: "deploy/mosquitto")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
      $0.contains(".conf")
    }
    #expect(!files.isEmpty)
    for file in files {
      let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
      let lines = text.split(separator: "\n").filter { $0.hasPrefix("max_queued") }
      #expect(
        lines == ["max_queued_messages 0", "max_queued_bytes \(MqttSettings.defaultQueueBytes)"], "\(file)")
    }
    #expect(MosquittoServer.Options().queuedBytes == MqttSettings.defaultQueueBytes)
  }
}

import Foundation
import MQTT
import TestSupport
import Testing

/// Certificates made by the openssl tool, for one test.
struct Certificates {
  private let tool: OpenSSL
  var ca: String { path("ca.pem") }

  init() throws {
    tool = try OpenSSL()
    try tool.makeAuthority()
    try "subjectAltName=DNS:localhost,IP:127.0.0.1\n".write(
      toFile: path("san"), atomically: true, encoding: .utf8)
    try make("server", commonName: "localhost")
    try make("device", commonName: "device-1")
  }

  func path(_ name: String) -> String { tool.path(name) }

  private func make(_ name: String, commonName: String) throws {
    try tool.makeRequest(name, subject: "/CN=\(commonName)")
    try tool.run(
      "x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out \(name).pem"
    )
  }
}

@Suite(.enabled(if: OpenSSL.isThere))
struct TLSTests {
  private func server(_ certificates: Certificates) async throws -> MosquittoServer {
    var options = MosquittoServer.Options()
    options.extra = [
      "cafile \(certificates.ca)", "certfile \(certificates.path("server.pem"))",
      "keyfile \(certificates.path("server.key"))", "tls_version tlsv1.2", "require_certificate true",
      "use_identity_as_username true",
    ]
    options.acl = ["pattern readwrite v1/%u/#"]
    return try await MosquittoServer(options)
  }

  @Test(arguments: ["127.0.0.1", "localhost"])
  func mutualTLSCarriesSessionsAndUplinks(_ host: String) async throws {
    let certificates = try Certificates()
    let bench = Bench(try await server(certificates))
    let tls = MQTTTLS(
      caFile: certificates.ca, certificateFile: certificates.path("device.pem"),
      keyFile: certificates.path("device.key"))
    let change: (inout MQTTConfiguration) -> Void = {
      $0.host = host
      $0.tls = tls
    }
    let inbox = Inbox()
    let uplink = bench.uplink("slot", ["v1/device-1/up"], change: change) { try inbox.take($0) }
    let probe = try await bench.connected(
      "device", subscriptions: [MQTTSubscription("v1/device-1/down")], change: change)
    try await eventually("up") { uplink.isConnected }
    let big = String(repeating: "x", count: 200_000)
    let texts = (0..<300).map { $0 % 100 == 0 ? big : "\($0)" }
    for topic in ["v1/device-1/down", "v1/device-1/up"] {
      let outcomes = await probe.session.publish(texts.map { MQTTMessage(topic, $0) })
      #expect(outcomes.allSatisfy { $0 == .success(.accepted) })
    }
    try await eventually("all arrive") { probe.messages.count == 300 && inbox.texts.count == 300 }
    #expect(probe.texts == texts)
    #expect(inbox.texts == texts)
    #expect(await uplink.leave())
    await probe.session.disconnect()
    bench.server.stop()
  }

  @Test func aConnectionWithoutTheRightCertificateIsRefused() async throws {
    let certificates = try Certificates()
    let other = try Certificates()
    let bench = Bench(try await server(certificates))
    // No certificate of its own, then one that another authority signed, then a broker that is not to be trusted.
    let wrong = [
      MQTTTLS(caFile: certificates.ca),
      MQTTTLS(
        caFile: certificates.ca, certificateFile: other.path("device.pem"), keyFile: other.path("device.key")),
      MQTTTLS(
        caFile: other.ca, certificateFile: certificates.path("device.pem"),
        keyFile: certificates.path("device.key")),
      MQTTTLS(caFile: "/no/such/file"),
    ]
    for tls in wrong {
      let probe = bench.session("stranger") { $0.tls = tls }
      try await eventually("told") { !probe.states.isEmpty }
      try await Task.sleep(for: .milliseconds(300))
      #expect(!probe.session.isConnected)
      #expect(!probe.states.contains(.connected(sessionPresent: false)))
      await probe.session.disconnect()
    }
    bench.server.stop()
  }
}

import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import RegistryService

@Suite("Certificates of devices", .enabled(if: OpenSSL.isThere))
struct CertificateTests {
  private static let body: JSON = ["csr": .string(TestAuthority.request)]

  private func device(_ world: World) async throws -> JSON {
    await world.send("POST", "device", body: ["boardId": "{board}", "mcuId": .string(UUID.v7().text)]).json
  }

  /// The next so many public events of a device, without `martlet.registry.`.
  private func events(_ reader: RecordReader, _ device: JSON, count: Int) async throws -> [String] {
    var types: [String] = []
    for _ in 0..<count {
      types.append(try await reader.next([device["deviceId"]?.string ?? ""]).type)
    }
    return types.map { $0.replacingOccurrences(of: "martlet.registry.", with: "") }
  }

  @Test("a device gets one that its authority vouches for, and all are revoked")
  func issued() async throws {
    let world = try await World.shared()
    let reader = try await RecordReader(try await World.kafka(), .registryEvents)
    let device = try await device(world)
    let deviceId = try #require(device["deviceId"]?.string)
    let path = "device/id/\(deviceId)/certificate"
    #expect(await world.send("DELETE", path, as: "operator").status == 404, "it has none")
    let made = await world.send("POST", path, body: Self.body, as: "operator")
    #expect(made.status == 201)
    #expect(
      made.json.object?.members.map(\.name) == [
        "certificate", "chain", "serialNumber", "notBefore", "notAfter",
      ])
    let tool = try TestAuthority.tool()
    let file = "\(deviceId).pem"
    try made.json["certificate"]?.string?.write(toFile: tool.path(file), atomically: true, encoding: .utf8)
    try made.json["chain"]?.string?.write(toFile: tool.path("chain.pem"), atomically: true, encoding: .utf8)
    #expect(try tool.run("verify -purpose sslclient -CAfile chain.pem \(file)") == "\(file): OK\n")
    #expect(try tool.run("x509 -in \(file) -noout -subject") == "subject=CN = \(deviceId)\n")
    let serial = try tool.run("x509 -in \(file) -noout -serial").lowercased()
    #expect(serial == "serial=\(made.json["serialNumber"]?.string ?? "")\n")
    let second = await world.send("POST", path, body: Self.body)
    #expect(second.status == 201 && second.json["serialNumber"] != made.json["serialNumber"])
    #expect(await world.send("DELETE", path, as: "operator").status == 204)
    #expect(await world.send("DELETE", path, as: "operator").status == 404)
    let expected = ["device.created", "certificate.issued", "certificate.issued"]
    #expect(
      try await events(reader, device, count: 5) == expected + ["certificate.revoked", "certificate.revoked"])
  }

  @Test("one key, one certificate; ten at a time, and no more")
  func bounded() async throws {
    let world = try await World.shared()
    let device = try await device(world)
    let path = "device/id/\(device["id"]?.string ?? "")/certificate"
    let headers: HTTPFields = ["Idempotency-Key": UUID.v7().text]
    let first = await world.send("POST", path, body: Self.body, headers: headers)
    let again = await world.send("POST", path, body: Self.body, headers: headers)
    #expect(first.status == 201 && again.json == first.json)
    for _ in 1..<10 { #expect(await world.send("POST", path, body: Self.body).status == 201) }
    #expect(await world.send("POST", path, body: Self.body).status == 409)
    #expect(await world.send("DELETE", path).status == 204)
    #expect(await world.send("POST", path, body: Self.body).status == 201)
  }

  @Test("what is no request is told with its pointer")
  func refused() async throws {
    let world = try await World.shared()
    for body in [["csr": "x"], ["csr": 1], [:], ["csr": ""], ["csr": "x", "more": 1]] as [JSON] {
      let answer = await world.send("POST", "device/id/{device}/certificate", body: body)
      #expect(answer.status == 422 && answer.pointers.count == 1, "\(body.text)")
    }
  }

  @Test("a deleted device's are revoked, and who gets its deviceId next has none")
  func deleted() async throws {
    let world = try await World.shared()
    let reader = try await RecordReader(try await World.kafka(), .registryEvents)
    let device = try await device(world)
    let deviceId = try #require(device["deviceId"]?.string)
    let path = "device/id/\(deviceId)/certificate"
    #expect(await world.send("POST", path, body: Self.body).status == 201)
    #expect(await world.send("DELETE", "device/id/\(deviceId)").status == 204)
    #expect(
      try await events(reader, device, count: 4)
        == ["device.created", "certificate.issued", "certificate.revoked", "device.deleted"])
    let next: JSON = ["boardId": "{board}", "mcuId": .string(UUID.v7().text), "deviceId": .string(deviceId)]
    #expect(await world.send("POST", "device", body: next).status == 201)
    #expect(await world.send("DELETE", path).status == 404)
  }

  @Test("without an authority it says what is missing")
  func without() async throws {
    let world = try await World(isCertifying: false)
    let answer = await world.send("POST", "device/id/{device}/certificate", body: Self.body)
    #expect(answer.status == 503)
    #expect(answer.json["detail"]?.string?.contains("device-ca-certificate") == true)
  }
}

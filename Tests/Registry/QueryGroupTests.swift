import FilterLanguage
import Foundation
import HTTP
import TestSupport
import Testing
import Wire

@testable import RegistryDomain
@testable import RegistryService

@Suite("Groups whose members follow a query")
struct QueryGroupTests {
  /// A value of metadata that no other test has.
  private let mark = "q-\(UUID.v7().text)"

  private func device(_ world: World, _ fields: JSONObject = [:]) async throws -> (
    id: String, deviceId: String
  ) {
    var fields = fields
    if fields["metadata"] == nil { fields["metadata"] = ["mark": .string(mark)] }
    return try await GroupTests.device(world, fields)
  }

  @Test("they come with the query, with each new device, and go with a change or another query")
  func follow() async throws {
    let world = try await World.shared()
    let early = try await device(world)
    let group = try await GroupTests.make(world, filter: "metadata.mark==\(mark)")
    #expect(await GroupTests.members(world, group) == [early.deviceId])
    let late = try await device(world)
    _ = try await device(world, ["metadata": ["mark": "other"]])
    #expect(await GroupTests.members(world, group) == [early.deviceId, late.deviceId])
    let path = "device/id/\(late.id)"
    #expect(await world.send("PATCH", path, body: ["metadata": ["mark": "else"]]).status == 200)
    #expect(await GroupTests.members(world, group) == [early.deviceId])
    let back: JSON = ["metadata": ["operation": "replace", "value": ["mark": .string(mark), "x": "1"]]]
    #expect(await world.send("PUT", path, body: back).status == 200)
    #expect(await GroupTests.members(world, group) == [early.deviceId, late.deviceId])
    let narrow: JSON = ["query": ["filter": .string("metadata.mark==\(mark);metadata.x=exists=true")]]
    let preview = await world.send("PUT", "\(group)?dryRun=true", body: narrow)
    #expect(
      preview.json == [
        "join": ["total": 0, "deviceIds": []], "leave": ["total": 1, "deviceIds": [.string(early.deviceId)]],
      ])
    #expect(await GroupTests.members(world, group).count == 2, "nothing has changed")
    #expect(await world.send("PUT", group, body: narrow).status == 200)
    #expect(await GroupTests.members(world, group) == [late.deviceId])
    let wide: JSON = ["query": ["filter": .string("metadata.mark==\(mark)")]]
    let again = await world.send("PUT", "\(group)?dryRun=true", body: wide)
    #expect(again.json["join"] == ["total": 1, "deviceIds": [.string(early.deviceId)]])
    #expect(await world.send("DELETE", path).status == 204)
    #expect(await GroupTests.members(world, group) == [])
    #expect(await world.send("DELETE", group).status == 204)
  }

  @Test("every field of the registry counts, and fields with odd characters are found exactly")
  func fields() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let device = try await device(world, ["metadata": ["mark": .string(mark), "n": "a%26b", "u": "_"]])
    let mine = ["mcuId==\(mark)", "boardId==\(board)", "name==\(mark)"]
    var groups: [String] = []
    for filter in mine { groups.append(try await GroupTests.make(world, filter: filter)) }
    let path = "device/id/\(device.id)"
    let body: JSON = ["mcuId": .string(mark), "boardId": .string(board), "name": .string(mark)]
    #expect(await world.send("PATCH", path, body: body).status == 200)
    for group in groups { #expect(await GroupTests.members(world, group) == [device.deviceId], "\(group)") }
    let odd = try await GroupTests.make(
      world, filter: "metadata.mark==\(mark);metadata.n=='a%26b';metadata.u==_")
    #expect(await GroupTests.members(world, odd) == [device.deviceId])
    let network = try await GroupTests.make(
      world, filter: "metadata.mark==\(mark);networkId=={network}".filled(world.names))
    #expect(await GroupTests.members(world, network) == [])
    #expect(await world.send("PATCH", path, body: ["networkId": "{network}"]).status == 200)
    #expect(await GroupTests.members(world, network) == [device.deviceId])
    for group in groups + [odd, network] { #expect(await world.send("DELETE", group).status == 204) }
  }

  @Test("only devices of the group's organisation")
  func organisations() async throws {
    let world = try await World.shared()
    let theirs = try await GroupTests.make(world, filter: "metadata.mark==\(mark)", as: "stranger")
    let before = try await device(world)
    let answer = await world.send("GET", "\(theirs)/device", as: "stranger")
    #expect(answer.json == [])
    #expect(
      await world.send(
        "PUT", theirs, body: ["query": ["filter": .string("mcuId!=x;metadata.mark==\(mark)")]], as: "stranger"
      ).status == 200)
    #expect(await world.send("GET", "\(theirs)/device", as: "stranger").json == [])
    #expect(await world.send("GET", "device/id/\(before.id)").status == 200)
    #expect(await world.send("DELETE", theirs, as: "stranger").status == 204)
  }

  @Test("whoever writes at the same time, the members are in the end those whom the query finds")
  func concurrent() async throws {
    let world = try await World.shared()
    var devices: [String] = []
    for _ in 0..<8 { devices.append(try await device(world).id) }
    let group = try await GroupTests.make(world, filter: "metadata.mark==\(mark)")
    let mark = mark
    let filters = [
      "metadata.mark==\(mark);metadata.on==yes", "metadata.mark==\(mark);metadata.on!=yes",
      "metadata.mark==\(mark)",
    ]
    let statuses = await withTaskGroup(of: [Int].self, returning: [Int].self) { tasks in
      for (number, device) in devices.enumerated() {
        tasks.addTask {
          var statuses: [Int] = []
          for round in 0..<10 {
            let value: JSON = (round + number).isMultiple(of: 2) ? "yes" : "no"
            let answer = await world.send("PATCH", "device/id/\(device)", body: ["metadata": ["on": value]])
            statuses.append(answer.status)
          }
          return statuses
        }
      }
      tasks.addTask {
        var statuses: [Int] = []
        for round in 0..<12 {
          let query: JSON = ["query": ["filter": .string(filters[round % 3])]]
          statuses.append(await world.send("PUT", group, body: query).status)
        }
        return statuses
      }
      tasks.addTask {
        var statuses: [Int] = []
        for number in 0..<12 {
          let made = await world.send(
            "POST", "device",
            body: [
              "boardId": "{board}", "mcuId": .string("\(mark)-\(number)"),
              "metadata": ["mark": .string(mark), "on": "yes"],
            ])
          if number % 3 == 0 {
            statuses.append(
              await world.send("DELETE", "device/id/\(made.json["id"]?.string ?? "")").status - 3)
          }
          statuses.append(made.status - 1)
        }
        return statuses
      }
      return await tasks.reduce(into: []) { $0 += $1 }
    }
    #expect(statuses.allSatisfy { $0 == 200 || $0 == 201 }, "\(statuses)")
    for filter in filters {
      #expect(await world.send("PUT", group, body: ["query": ["filter": .string(filter)]]).status == 200)
      let escaped = filter.replacingOccurrences(of: ";", with: "%3B")
      let found = await world.send("GET", "device?limit=1000&filter=\(escaped)")
      let expected = Set((found.json.array ?? []).compactMap { $0["deviceId"]?.string })
      #expect(await GroupTests.members(world, group) == expected)
      #expect(!expected.isEmpty || filter.contains("!="))
    }
    #expect(await world.send("DELETE", group).status == 204)
  }

  /// Somebody waits for an advisory lock in the world's own database.
  private func somebodyWaits(_ world: World) async throws {
    try await eventually("somebody waits for the lock") {
      let waiting = try await world.database.query(
        """
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """)
      return !waiting.isEmpty
    }
  }

  @Test("a new group waits for a device that is being changed, and then has it")
  func newGroup() async throws {
    let world = try await World()
    let id = try await device(world, ["metadata": ["mark": "none"]])
    let device = try await world.registry.device(id.id, in: nil)
    let mark = mark
    let group = try await world.database.withTransaction { connection in
      try await GroupLock.share(device.organisationId, on: connection)
      try await connection.query(
        "UPDATE device_metadata SET value = \(mark) WHERE device = \(device.id) AND name = 'mark'")
      try await connection.query(
        "UPDATE device SET metadata = jsonb_build_object('mark', \(mark)::text) WHERE id = \(device.id)")
      let change = DeviceChange(from: device, to: device)
      #expect(try await world.registry.settle([change], RecordTests.context, on: connection).count == 2)
      let made = Task { try await GroupTests.make(world, filter: "metadata.mark==\(mark)") }
      try await somebodyWaits(world)
      return made
    }.value
    #expect(await GroupTests.members(world, group) == [id.deviceId])
  }

  @Test("a device that is changed waits for a group that is being made, and then is in it")
  func changedDevice() async throws {
    let world = try await World()
    let id = try await device(world, ["metadata": ["mark": "none"]])
    let organisation = try await world.registry.device(id.id, in: nil).organisationId
    let group = DeviceGroup(
      id: .v7(), organisationId: organisation, createdAt: .now.wholeMilliseconds,
      updatedAt: .now.wholeMilliseconds, name: "g", filter: "metadata.mark==\(mark)", rev: 1)
    let query = try DeviceExpression(parsing: "metadata.mark==\(mark)", for: .groupQuery)
    let mark = mark
    let changed = try await world.database.withTransaction { connection in
      try await GroupLock.alone(organisation, on: connection)
      try await GroupTable(database: connection).insert(group)
      #expect(try await MembershipTable(database: connection).fill(group, by: query).isEmpty)
      let changed = Task {
        await world.send("PATCH", "device/id/\(id.id)", body: ["metadata": ["mark": .string(mark)]])
      }
      try await somebodyWaits(world)
      return changed
    }.value
    #expect(changed.status == 200)
    #expect(await GroupTests.members(world, "group/id/\(group.id.text)") == [id.deviceId])
  }

  @Test("who waits too long for the others of an organisation gets 503, and holds up no other organisation")
  func patience() async throws {
    let world = try await World()
    let organisation = try #require(world.names["mine"].flatMap { UUID(text: $0) })
    try await world.database.withTransaction { connection in
      try await GroupLock.alone(organisation, on: connection)
      try await connection.query("SELECT")
      let refused = Task {
        async let made = world.send(
          "POST", "device", body: ["boardId": "{board}", "mcuId": .string(mark)])
        async let gone = world.send("DELETE", "group/id/{group}")
        return await [made, gone]
      }
      // The server ends a transaction that does nothing for long.
      let busy = Task {
        while !Task.isCancelled {
          try await connection.query("SELECT")
          try await Task.sleep(for: .milliseconds(500))
        }
      }
      for answer in await refused.value {
        #expect(answer.status == 503 && answer.headers["Retry-After"] == "1")
      }
      busy.cancel()
      _ = await busy.result
      let other = await world.send(
        "POST", "device", body: ["boardId": "{publicBoard}", "mcuId": .string(mark)], as: "stranger")
      #expect(other.status == 201)
    }
    let made = await world.send("POST", "device", body: ["boardId": "{board}", "mcuId": .string(mark + "2")])
    #expect(made.status == 201)
  }

  @Test("many devices at once, as an import brings them, follow in the same way")
  func many() async throws {
    let world = try await World.shared()
    var changes: [DeviceChange] = []
    for number in 0..<5 {
      let made = try await device(world, ["metadata": ["mark": "none", "n": .string("\(number)")]])
      let device = try await world.registry.device(made.id, in: nil)
      changes.append(DeviceChange(from: device, to: device))
    }
    let group = try await GroupTests.make(world, filter: "metadata.mark==\(mark);metadata.n!=3")
    let all = changes
    let mark = mark
    let events = try await world.database.withTransaction { connection in
      try await GroupLock.share(all[0].device.organisationId, on: connection)
      for change in all {
        try await connection.query(
          "UPDATE device_metadata SET value = \(mark) WHERE device = \(change.device.id) AND name = 'mark'")
        try await connection.query(
          "UPDATE device SET metadata = metadata || jsonb_build_object('mark', \(mark)::text) WHERE id = \(change.device.id)"
        )
      }
      return try await world.registry.settle(all, RecordTests.context, on: connection)
    }
    #expect(await GroupTests.members(world, group).count == 4)
    let types = events.map(\.type)
    #expect(types.count { $0 == "martlet.entity.device" } == 5)
    #expect(types.count { $0 == "martlet.registry.device.updated" } == 5)
    #expect(types.count { $0 == "martlet.registry.group.membersAdded" } == 1)
    #expect(await world.send("DELETE", group).status == 204)
  }

  @Test(
    "whether a device is in a group is looked up by its key, among 200,000 devices",
    arguments: [
      "metadata.site=='hall 3'", "soc==soc3,name!=x",
      "metadata.serial=exists=true;createdAt=gt=2025-01-01T00:00:00Z",
    ])
  func plans(_ filter: String) async throws {
    let (database, _) = try await FilterPlanTests.common.value
    let group = DeviceGroup(
      id: .v7(), organisationId: FilterPlanTests.organisation, createdAt: .now, updatedAt: .now, name: "g",
      filter: filter, rev: 1)
    let query = try DeviceExpression(parsing: filter, for: .groupQuery)
    let ids = try await database.query(
      "SELECT id FROM device WHERE organisation_id = \(group.organisationId) AND id > \(UUID(uuidString: "01970000-0000-7000-8000-000000000001") ?? UUID()) LIMIT 3"
    ).decode(UUID.self)
    let plan = try await MembershipTable(database: database).ask([
      MembershipTable.follow(group, query, of: ids, after: "EXPLAIN ")
    ])[0].decode(String.self).joined(separator: "\n")
    let cost = try #require(plan.firstMatch(of: /cost=[0-9.]+\.\.([0-9.]+)/)).output.1
    #expect(try #require(Double(cost)) < 300, "\(plan)")
  }

  @Test("a query that finds more than one step takes, and another that finds none of them")
  func thousands() async throws {
    let world = try await World.shared()
    let board = try await DeviceTests.board(world)
    let (mine, boardId) = (
      try #require(UUID(text: world.names["mine"] ?? "")), try #require(UUID(text: board))
    )
    try await world.database.query(
      """
      WITH made AS (
        INSERT INTO device (id, organisation_id, board_id, soc, mcu_id, device_id, metadata, created_at, updated_at, rev)
        SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid,
          \(mine), b.id, b.soc, 'm' || i, substr(md5(\(mark) || i), 1, 16), '{}', now(), now(), 1
        FROM generate_series(1, 1100) i, board b WHERE b.id = \(boardId) RETURNING device_id, id, organisation_id
      )
      INSERT INTO device_state (device_id, id, organisation_id, created_at, updated_at, attributes)
      SELECT device_id, id, organisation_id, now(), now(), '{}' FROM made
      """)
    let group = try await GroupTests.make(world, filter: "boardId==\(board)")
    let members = await world.send("GET", "\(group)/device?limit=1")
    #expect(members.headers["X-Total-Count"] == "1100")
    let none: JSON = ["query": ["filter": .string("boardId==\(board);mcuId==none")]]
    let preview = await world.send("PUT", "\(group)?dryRun=true", body: none)
    #expect(preview.json["leave"]?["total"] == 1100)
    #expect(preview.json["leave"]?["deviceIds"]?.array?.count == 1000)
    #expect(await world.send("PUT", group, body: none).status == 200)
    #expect(await GroupTests.members(world, group).isEmpty)
    let ahead = try await world.database.query(
      "SELECT count(*) FROM device_record r JOIN device t ON t.id = r.device WHERE t.board_id = \(boardId) AND ahead = 2"
    )
    #expect(try ahead.first?.decode(Int64.self) == 1100)
    #expect(await world.send("DELETE", group).status == 204)
    try await world.database.query("DELETE FROM device WHERE board_id = \(boardId)")
  }

  @Test("an organisation has so many query groups at most, and each follows a change")
  func bounded() async throws {
    let world = try await World.shared()
    let made = await world.send("POST", "organisation", body: ["name": .string(mark)], as: "root")
    let organisation = try #require(made.json["id"]?.string.flatMap { UUID(text: $0) })
    try await world.database.query(
      """
      INSERT INTO device_group (id, organisation_id, created_at, updated_at, name, filter, rev)
      SELECT gen_random_uuid(), \(organisation), now(), now(), 'g', 'name==x', 1 FROM generate_series(1, 100)
      """)
    let body: JSON = [
      "organisationId": .string(organisation.text), "name": "one more", "query": ["filter": "name==x"],
    ]
    #expect(await world.send("POST", "group", body: body, as: "root").status == 409)
    let device: JSON = [
      "organisationId": .string(organisation.text), "boardId": "{publicBoard}", "mcuId": .string(mark),
      "name": "x",
    ]
    let answer = await world.send("POST", "device", body: device, as: "root")
    #expect(answer.status == 201)
    let id = try #require(answer.json["id"]?.string.flatMap { UUID(text: $0) })
    let count = try await world.database.query("SELECT count(*) FROM group_member WHERE device = \(id)")
    #expect(try count.first?.decode(Int64.self) == 100)
    #expect(await world.send("DELETE", "device/id/\(id.text)", as: "root").status == 204)
  }
}

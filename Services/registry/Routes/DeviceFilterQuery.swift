import FilterLanguage
import FoundationEssentials
import HTTP
import RegistryDomain
import Runtime
import Wire

extension HTTPRequest {
  /// The page of a list of devices.
  func devicePage(_ context: RequestContext) throws -> PageRequest {
    try page(context, filters: DeviceFilter.parameters, prefixes: [DeviceField.metadataPrefix])
  }
}

extension DeviceFilter {
  /// The names of what a request can ask for, beside `metadata.<field>` and for root `organisationId`.
  static let parameters = ["boardId", "networkId", "groupId", "online", "q", "filter"]

  /// All that a request asks for. That it asks for nothing else is to be checked before.
  init(_ request: HTTPRequest, _ context: RequestContext) throws {
    self.init(organisation: try context.scope(request), online: try request.bool("online"))
    search = request.query["q"].flatMap { $0.isEmpty ? nil : $0 }
    let ids: [(String, DeviceField)] = [
      ("boardId", .boardId), ("networkId", .networkId), ("groupId", .groupId),
    ]
    for (name, field) in ids {
      if let id = try request.optionalID(name) { require(field, .id(id)) }
    }
    let prefix = DeviceField.metadataPrefix.utf8
    let fields = request.query.items.filter { $0.name.utf8.starts(with: prefix) }
    if fields.count > 10 { throw Problem.badRequest("Filter by 10 metadata fields at most.") }
    for item in fields {
      let name = String(decoding: item.name.utf8.dropFirst(prefix.count), as: UTF8.self)
      if name.isEmpty { throw Problem.badRequest("metadata. needs the name of a field after the dot.") }
      require(.metadata(name), .text(item.value))
    }
    guard let text = request.query["filter"] else { return }
    do throws(FilterFault) { require(try DeviceExpression(parsing: text)) } catch {
      throw Problem.badRequest("filter cannot be read, \(error)")
    }
  }
}
